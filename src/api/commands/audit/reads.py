"""`mintage audit reads`: who has looked at whose data."""

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.audit.reads import select_reads
from api.audit.recording import record_read
from api.commands.audit.desk import desk, printable
from api.console import print_json, tell
from api.http.ids import is_id

LIMIT_MAX = 1000
_WHOSE: dict[int | None, str] = {None: "anybody's, maybe", 0: "nobody's", 1: "1 account"}


@click.command()
@click.option("--reader", help="Only by that one: key:…, admin:bootstrap, cli.")
@click.option("--account", help="Only that account's.")
@click.option("--before", type=click.IntRange(1, 2**63 - 1), help="Only ids below that one.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="NDJSON on stdout.")
def reads(
    *, reader: str | None, account: str | None, before: int | None, limit: int, as_json: bool
) -> None:
    """Who has looked at what, newest first. This look is the first of them."""
    if account is not None and not is_id(account):
        raise click.UsageError("--account: no account can have that id")
    with desk() as connection:
        query = {"reader": reader, "before": before, "limit": limit}
        record_read(connection, "reads", account_id=account, query=query)
        found = select_reads(connection, reader=reader, account=account, before=before, limit=limit)
    if as_json:
        for read in found:
            print_json(read)
        return
    if not found:
        tell("no such reads")
        return
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("what, at (UTC)", no_wrap=True)
    table.add_column("whose, by whom, how", overflow="fold")
    for read in found:
        asked = ", ".join(f"{name} {value}" for name, value in read.query.items())
        whose = read.account_id or _WHOSE.get(read.shown, f"{read.shown} accounts")
        reader = f"by {read.reader} ({read.role})"
        at = f"{read.at:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            str(read.id), Text(f"{read.what}\n{at}"), Text(printable(whose, reader, asked))
        )
    Console().print(table)
