"""`mintage api`: the HTTP role."""

import os
import socket

import click

from api.console import tell
from api.launch import serving, tether
from api.launch.listening import bind, url_of
from api.opening import check_migrated, opened
from api.settings import Settings


@click.command()
def api() -> None:
    """Serve HTTP on HOST and PORT with WORKERS processes; any number of these may run."""
    tether.await_begin()
    given = Settings.from_environ(os.environ)
    descriptor = tether.handed_socket()
    own = descriptor is None
    with (
        bind(given.host, given.port)
        if descriptor is None
        else socket.socket(fileno=descriptor) as bound,
        opened(given) as settings,
    ):
        check_migrated(settings.database_url or "")
        if own:
            tell(f"mintage api at {url_of(bound)}")
        tether.ready()
        if not serving.serve(settings, bound):
            raise click.ClickException("the API did not start; the lines above say why")
