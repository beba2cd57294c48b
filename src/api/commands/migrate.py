"""`mintage migrate`: the tables."""

import os

import click

from api.console import json_option, print_json
from api.opening import opened
from api.settings import Settings
from ledger import migrate as migrating


@click.command()
@json_option
def migrate(*, as_json: bool) -> None:
    """Bring the tables up to date, as the role in MIGRATION_DATABASE_URL.

    May be run at any time, by several at once; what was applied is not applied again.
    """
    with opened(Settings.from_environ(os.environ), begin=True) as settings:
        applied = migrating.migrate(settings.migration_database_url or "")
    if as_json:
        print_json({"applied": applied})
    else:
        click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply")
