"""`mintage audit account`: who it is, what it has, why, and what came last."""

from collections.abc import Iterator

import click
import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.audit.accounts import AuditAccount, audit_account
from api.audit.asking import Moment
from api.audit.balances import timeline_lines
from api.audit.documents import TimelineEvent, timeline_event
from api.audit.explanations import ExplanationDocument, explained, explanation_document
from api.audit.recording import record_read
from api.audit.words import signed
from api.commands.audit.asking import answerable
from api.commands.audit.desk import desk, printable
from api.console import json_option, print_json

_NOW = Moment(at=None, position=None)


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    account: AuditAccount
    explanation: ExplanationDocument
    timeline: list[TimelineEvent]


@click.command()
@click.argument("account_id")
@click.option(
    "--limit",
    type=click.IntRange(1, 100),
    default=10,
    show_default=True,
    help="How many events of the timeline.",
)
@json_option
def account(*, account_id: str, limit: int, as_json: bool) -> None:
    """Who ACCOUNT_ID is, its balance, why it is that, and its last events.

    The look is itself recorded, as one by `cli`.
    """
    with desk() as connection, answerable(account_id):
        record_read(connection, "account", account_id=account_id, query={})
        record_read(connection, "explanation", account_id=account_id, query={})
        record_read(connection, "timeline", account_id=account_id, query={"limit": limit})
        answer = _Answer(
            account=audit_account(connection, account_id),
            explanation=explanation_document(explained(connection, account_id, _NOW), "en"),
            timeline=[
                timeline_event(line) for line in timeline_lines(connection, account_id, limit=limit)
            ],
        )
    if as_json:
        print_json(answer)
        return
    for line in (*_profile(answer.account), "", *answer.explanation.lines, ""):
        click.echo(printable(line))
    Console().print(_table(answer.timeline))


def _profile(told: AuditAccount) -> Iterator[str]:
    yield told.id if told.email is None else f"{told.id} <{told.email}>"
    words = [told.name, told.role, "member" if told.is_member else "no member"]
    yield ", ".join(word for word in words if word)
    counts = told.counts
    yield f"{counts.events} events, {counts.images} images, {counts.open_holds} open holds"
    outcomes = msgspec.structs.asdict(counts.generations).items()
    yield f"generations: {', '.join(f'{number} {outcome}' for outcome, number in outcomes)}"


def _table(lines: list[TimelineEvent]) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("position", justify="right", no_wrap=True)
    table.add_column("event, at (UTC)", no_wrap=True)
    table.add_column("tokens after it", overflow="fold")
    for line in lines:
        change = f"{signed(line.amount)} settled, {signed(line.held_change)} held"
        numbers = f"{line.settled} − {line.held} = {line.available} available"
        what = filter(None, (change, numbers, line.title, line.note))
        at = f"{line.at:%Y-%m-%d %H:%M:%S}"
        # Never as markup: a title may be called [bold].
        table.add_row(str(line.position), Text(f"{line.type}\n{at}"), Text(printable(*what)))
    return table
