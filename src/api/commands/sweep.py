"""`mintage sweep`: what a worker does now and then, once and now."""

import os
from contextlib import closing

import click
import psycopg

from api.commands.worker import limits
from api.console import json_option, print_json
from api.launch.quiet import quiet_logs
from api.opening import check_migrated, opened
from api.settings import Settings
from api.storing import build_storage
from generation import expiry
from generation.sweep import Sweep
from ledger.ledger import Ledger
from projections.projector import advance

ROUNDS_MAX = 1_000


@click.command()
@json_option
def sweep(*, as_json: bool) -> None:
    """Fail generations past their deadline, and delete objects that no fact names.

    Only objects older than any generation can live are looked at.
    """
    given = Settings.from_environ(os.environ)
    quiet_logs(given)
    with opened(given) as settings:
        url = settings.database_url or ""
        check_migrated(url)
        with closing(Ledger(url)) as ledger:
            expired = _expire(url, ledger, settings.generation_deadline_seconds)
            bounds = limits(settings)
            grace_seconds = 2 * (bounds.lease_seconds + bounds.deadline_seconds)
            deleted = Sweep(ledger, build_storage(settings), grace_seconds=grace_seconds).run()
    if as_json:
        print_json({"expired": expired, "deleted": deleted})
    else:
        click.echo(f"{expired} generations expired, {deleted} objects deleted")


def _expire(url: str, ledger: Ledger, deadline_seconds: float) -> int:
    expired = 0
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(ROUNDS_MAX):
            while advance(connection):
                pass
            found = expiry.overdue(connection, deadline_seconds=deadline_seconds)
            if not found:
                break
            expired += sum(expiry.expire(ledger, each) for each in found)
    return expired
