"""`mintage audit events`: the log, filtered: a table for people, NDJSON or CSV for machines."""

import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import click
import msgspec
import psycopg
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.audit.asked import ACTOR_CHARACTERS_MAX, LIMIT_MAX, Asked
from api.audit.formats import Csv, Format, Ndjson
from api.audit.recording import record_read
from api.commands.audit.desk import desk, printable, usage
from api.console import tell
from api.http.ids import is_id
from ledger.log import select_head
from projections.audit.events import Event, read_slice
from projections.audit.pieces import Pieces
from projections.audit.types import EVENT_TYPES
from projections.audit.walks import Walk, walk

LIMIT_DEFAULT = 20

_POSITION = click.IntRange(0, 2**63 - 1)


@click.command()
@click.option("--account", help="Only that account's.")
@click.option("--type", "kind", type=click.Choice(EVENT_TYPES), metavar="TYPE", help="Only those.")
@click.option("--generation", type=click.UUID, help="Its request, its ending and its refund.")
@click.option("--actor", help="Who did it: key:…, worker:…, cli.")
@click.option("--from", "since", metavar="TIME", help="The first time that counts: RFC 3339.")
@click.option("--to", "until", metavar="TIME", help="The first that does not.")
@click.option("--after", type=_POSITION, help="Only positions above that one.")
@click.option("--before", type=_POSITION, help="Only positions below that one.")
@click.option("--order", type=click.Choice(["asc", "desc"]), default="desc", show_default=True)
@click.option(
    "--limit", type=click.IntRange(min=1), help="How many; 20 in a table, else all of them."
)
@click.option("--json", "as_json", is_flag=True, help="NDJSON on stdout; its last line ends it.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout, safe for spreadsheets.")
def events(
    *,
    account: str | None,
    kind: Any,
    generation: UUID | None,
    actor: str | None,
    since: str | None,
    until: str | None,
    after: int | None,
    before: int | None,
    order: Any,
    limit: int | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """What is in the log, newest first. The read is itself recorded, as one by `cli`."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv: one of them")
    is_export = as_json or as_csv
    if not is_export and limit is not None and limit > LIMIT_MAX:
        raise click.UsageError(f"--limit: a table has at most {LIMIT_MAX} rows; see --json")
    if account is not None and not is_id(account):
        raise click.UsageError("--account: no account can have that id")
    if actor is not None and len(actor) > ACTOR_CHARACTERS_MAX:
        raise click.UsageError(f"--actor: at most {ACTOR_CHARACTERS_MAX} characters")
    asked = Asked(
        account=account,
        type=kind,
        generation=generation,
        actor=actor,
        since=since,
        until=until,
        after=after,
        before=before,
        order=order,
        limit=limit if is_export else limit or LIMIT_DEFAULT,
    )
    with usage():
        asked.filter()
    with desk() as connection:
        position = select_head(connection)
        found = walk(connection, asked.filter(), upto=position)
        account_id = _whose(connection, asked, found)
        if not is_export:
            shown = [event for piece in _pieces(connection, asked, found) for event in piece]
            accounts = {event.account_id for event in shown}
            record_read(
                connection, "events", account_id=account_id, shown=accounts, query=asked.told()
            )
            _show(shown)
            return
        record_read(
            connection,
            "events_export",
            account_id=account_id,
            shown=None,
            query={**asked.told(), "format": "csv" if as_csv else "ndjson"},
        )
        count = _write(connection, asked, found, Csv() if as_csv else Ndjson())
        tell(f"{count} events, up to position {position}")


def _whose(connection: psycopg.Connection[Any], asked: Asked, found: Walk) -> str | None:
    if asked.account is None and asked.generation is not None:
        for event in read_slice(connection, found, limit=1).events:
            return event.account_id
    return asked.account


def _pieces(
    connection: psycopg.Connection[Any], asked: Asked, found: Walk
) -> Iterator[list[Event]]:
    reading = Pieces(found, descending=asked.descending, limit=asked.limit)
    while not reading.is_done:
        yield reading.read(connection)


def _write(connection: psycopg.Connection[Any], asked: Asked, found: Walk, form: Format) -> int:
    out, count = sys.stdout.buffer, 0
    out.write(form.head())
    for piece in _pieces(connection, asked, found):
        out.write(form.lines(piece))
        count += len(piece)
    out.write(form.tail(count))
    out.flush()
    return count


def _show(events: list[Event]) -> None:
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("position", justify="right", no_wrap=True)
    table.add_column("event, at (UTC)", no_wrap=True)
    table.add_column("account, by whom, what", overflow="fold")
    for event in events:
        at = event.at[:19].replace("T", " ")
        who = (f"{event.account_id} #{event.version}", f"by {event.actor}", _gist(event))
        # Never as markup: an actor or an account may be called [bold].
        table.add_row(str(event.position), Text(f"{event.type}\n{at}"), Text(printable(*who)))
    if table.row_count:
        Console().print(table)
    else:
        tell("no such events")


def _gist(event: Event) -> str:
    """The fact in a line: its plain values, without what only machines want."""
    data: dict[str, Any] = msgspec.json.decode(event.data)
    told = (
        f"{name} {value}"
        for name, value in data.items()
        if isinstance(value, str | int) and name != "note_id"
    )
    return ", ".join(told)
