"""`mintage audit balance`: what an account had at a time, or at a position of the log."""

import click

from api.audit.asking import moment
from api.audit.balances import balance_document
from api.audit.recording import record_read
from api.commands.audit.asking import POSITION, answerable
from api.commands.audit.desk import desk, printable, usage
from api.console import json_option, print_json


@click.command()
@click.argument("account_id")
@click.option("--at", metavar="TIME", help="As of that time, inclusive: 2026-01-31T08:00:00Z.")
@click.option("--position", type=POSITION, help="As of that position of the log, inclusive.")
@json_option
def balance(*, account_id: str, at: str | None, position: int | None, as_json: bool) -> None:
    """What ACCOUNT_ID had then, open holds included. The look is itself recorded."""
    with usage():
        then = moment(at, position, required=True)
    with desk() as connection, answerable(account_id):
        record_read(connection, "balance", account_id=account_id, query=dict(then))
        told = balance_document(connection, account_id, then)
    if as_json:
        print_json(told)
        return
    click.echo(f"{told.account_id}: {told.available} tokens available")
    click.echo(f"{told.settled} settled − {told.held} held = {told.available} available")
    click.echo(f"after event {told.position} of the log, {told.at:%Y-%m-%d %H:%M:%S} UTC")
    click.echo("a member then" if told.is_member else "no member then")
    for hold in told.open_holds:
        asked = f"{hold.requested_at:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(
            printable(f"  held {hold.cost}: {hold.prompt.title}, {asked}, {hold.generation_id}")
        )
    if not told.open_holds_complete:
        click.echo("  and others, open for too long to be read back to")
