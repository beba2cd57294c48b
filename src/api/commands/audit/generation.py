"""`mintage audit generation`: one generation's story."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import click

from api.audit.generations import AttemptDocument, StoryDocument, look
from api.audit.recording import record_read
from api.commands.audit.desk import desk, printable
from api.console import json_option, print_json


@click.command()
@click.argument("generation_id", type=click.UUID)
@json_option
def generation(*, generation_id: UUID, as_json: bool) -> None:
    """Who asked for GENERATION_ID, each attempt, how it ended, what it cost.

    The look is itself recorded, as one by `cli`.
    """
    with desk() as connection:
        found = look(connection, generation_id)
        account_id = found.account_id if found else None
        query = {"generation": generation_id}
        record_read(connection, "generation", account_id=account_id, query=query)
    if found is None:
        raise click.ClickException(f"there is no generation {generation_id}")
    if as_json:
        print_json(found)
        return
    for line in _story(found):
        click.echo(printable(line))


def _story(told: StoryDocument) -> Iterator[str]:
    prompt = told.prompt
    yield f"generation {told.id}"
    yield f"of {told.account_id}: {told.status}"
    yield f"{prompt.title} ({prompt.id}, version {prompt.version})"
    reference = ", with a reference" if told.has_reference else ""
    yield f"{told.count} × {prompt.token_cost} tokens, {told.aspect_ratio}{reference}"
    yield ""
    yield f"{_time(told.requested_at)}  asked for by {told.requested_by}: {told.cost.asked} held"
    for attempt in told.attempts:
        yield f"{_time(attempt.started_at)}  {_attempt(attempt)}"
    if told.lease:
        lease = told.lease
        yield f"{_time(lease.until)}  {lease.worker} has it until then: {lease.step}"
    if told.ended_at:
        reason = f" ({told.reason})" if told.reason else ""
        yield (
            f"{_time(told.ended_at)}  {told.status}{reason} by {told.ended_by}: "
            f"{told.cost.charged} charged"
        )
    if told.refunded_at:
        refunded = told.cost.refunded
        yield f"{_time(told.refunded_at)}  {refunded} refunded by {told.refunded_by}"
    for image in told.images:
        yield f"image {image.id}, {image.model}, {image.width}×{image.height}"
    yield ""
    places = ", ".join(f"{event.position} {event.type}" for event in told.events)
    yield f"in the log: {places}"


def _attempt(attempt: AttemptDocument) -> str:
    took = "" if attempt.duration_ms is None else f" after {attempt.duration_ms / 1000:.1f} s"
    outcome = attempt.outcome or "under way"
    return f"attempt {attempt.attempt}, image {attempt.image + 1}: {outcome}{took}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
