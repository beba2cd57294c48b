"""`GET /v1/audit/generations/{id}`: one generation's story, with every attempt and its timing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.audit.documents import TimelineEvent, timeline_event
from api.audit.recording import recorded
from api.connection import Connection
from api.http.principals import Principal
from api.http.schemas import PromptRef
from api.openapi.documented import refusals
from api.problems.refusals import NotFoundError
from api.services import Services
from generation.leases import Call, Held, Step, held_by, paired
from ledger.facts import ImageRecord
from projections.audit.story import Story, story_of
from projections.reads import Status


class AskedPrompt(PromptRef, frozen=True, kw_only=True):
    """The prompt in the version that it was asked with."""

    version: int
    token_cost: int


class AttemptDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One provider call: for which image (from 0), when, and how it went.

    `outcome` is `ok`, a reason, or `lost`: its worker died. It is null while the call lasts.
    """

    attempt: int
    image: int
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    outcome: str | None


class LeaseDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The worker that has it, until when unless renewed, and how far it got."""

    worker: str
    attempt: int
    step: Step
    until: datetime


class StoryCost(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens asked for, held while it is open, charged once it has succeeded, and given back."""

    asked: int
    held: int
    charged: int
    refunded: int


class StoryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A generation, from its request to its end; `events` are all that the log has of it.

    `waited_ms` is from the request to the first call, `took_ms` to the end.
    """

    id: UUID
    account_id: str
    status: Status
    prompt: AskedPrompt
    count: int
    aspect_ratio: str
    has_reference: bool
    requested_at: datetime
    requested_by: str
    ended_at: datetime | None
    ended_by: str | None
    reason: str | None
    refunded_at: datetime | None
    refunded_by: str | None
    cost: StoryCost
    waited_ms: int | None
    took_ms: int | None
    attempts: list[AttemptDocument]
    lease: Annotated[LeaseDocument | None, msgspec.Meta(description="While it is open.")]
    images: list[ImageRecord]
    events: list[TimelineEvent]


@get(
    "/generations/{generation_id:uuid}",
    summary="A generation's story",
    responses=refusals("NOT_FOUND"),
)
async def get_one(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    generation_id: FromPath[UUID],
) -> StoryDocument:
    """Who asked for what, each attempt, how it ended, what was charged, and what given back."""
    return await read_story(services, caller, generation_id)


async def read_story(services: Services, caller: Principal, generation_id: UUID) -> StoryDocument:
    """The story, and the record that it was read. Raises `NotFoundError`."""
    found = await services.threads.query(look, generation_id)
    account_id = found.account_id if found else None
    await recorded(services, caller, "generation", account_id=account_id, generation=generation_id)
    if found is None:
        raise NotFoundError
    return found


def look(connection: Connection, generation_id: UUID) -> StoryDocument | None:
    """The story as of now; None where there is no such generation."""
    # The lease first: it stays a while after the end, so none is missed between the two.
    held = held_by(connection, generation_id)
    story = story_of(connection, generation_id)
    return story_document(story, held) if story else None


def story_document(story: Story, held: Held | None) -> StoryDocument:
    """The wire form. An open one's attempts are the lease's, an ended one's the ending's."""
    asked, is_open = story.asked, story.ending is None
    attempts = _calls(held.calls, held.attempt) if is_open and held else _ended(story)
    started = min((attempt.started_at for attempt in attempts), default=None)
    return StoryDocument(
        id=story.generation_id,
        account_id=story.request.account_id,
        status=("processing" if held else "queued") if story.outcome == "open" else story.outcome,
        prompt=AskedPrompt(
            id=asked.prompt.id,
            title=asked.prompt.title,
            version=asked.prompt.version,
            token_cost=asked.prompt.token_cost,
        ),
        count=asked.count,
        aspect_ratio=asked.aspect_ratio,
        has_reference=asked.reference is not None,
        requested_at=story.request.at,
        requested_by=story.request.actor,
        ended_at=story.ended_at,
        ended_by=story.ending.actor if story.ending else None,
        reason=story.ending.reason if story.ending else None,
        refunded_at=story.refund.at if story.refund else None,
        refunded_by=story.refund.actor if story.refund else None,
        cost=StoryCost(
            asked=asked.cost,
            held=asked.cost if is_open else 0,
            charged=story.charged,
            refunded=story.refunded,
        ),
        waited_ms=_ms(story.request.at, started),
        took_ms=_ms(story.request.at, story.ended_at),
        attempts=attempts,
        lease=_lease(held) if is_open and held else None,
        images=list(story.images),
        events=[timeline_event(line) for line in story.events],
    )


def _ended(story: Story) -> list[AttemptDocument]:
    return [
        AttemptDocument(
            attempt=each.attempt,
            image=each.image,
            started_at=each.started_at,
            ended_at=each.ended_at,
            duration_ms=_ms(each.started_at, each.ended_at),
            outcome=each.outcome,
        )
        for each in story.attempts
    ]


def _calls(calls: Sequence[Call], attempt: int) -> list[AttemptDocument]:
    documents = []
    for call, end in paired(calls):
        ended_at = end.ended_at if end else None
        # One of an earlier attempt that never ended has died with its worker.
        lost = "lost" if call.attempt < attempt else None
        documents.append(
            AttemptDocument(
                attempt=call.attempt,
                image=call.image,
                started_at=call.started_at,
                ended_at=ended_at,
                duration_ms=_ms(call.started_at, ended_at),
                outcome=end.outcome if end else lost,
            )
        )
    return documents


def _lease(held: Held) -> LeaseDocument:
    return LeaseDocument(
        worker=held.worker, attempt=held.attempt, step=held.step, until=held.lease_until
    )


def _ms(begin: datetime, end: datetime | None) -> int | None:
    return None if end is None else round((end - begin).total_seconds() * 1000)
