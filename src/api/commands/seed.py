"""`mintage seed`: what a fresh install begins with."""

import os

import click

from api.console import json_option, print_json
from api.launch.preparing import run_seed
from api.launch.quiet import quiet_logs
from api.opening import check_migrated, opened
from api.settings import Settings


@click.command()
@json_option
def seed(*, as_json: bool) -> None:
    """Add the demo account and the nine prompts where they are missing."""
    given = Settings.from_environ(os.environ)
    quiet_logs(given)
    with opened(given) as settings:
        check_migrated(settings.database_url or "")
        run_seed(settings)
    if as_json:
        print_json({"account_id": settings.demo_user_id})
    else:
        click.echo(f"account {settings.demo_user_id} and the prompts are there")
