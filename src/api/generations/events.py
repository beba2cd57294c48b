"""A generation's progress as server-sent events. Their ids are the steps' ordinals.

What is sent follows from the generation's state alone, never from what this connection has seen:
so a reader that comes back with `Last-Event-ID` misses nothing, on any process, at any time.
"""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from litestar.response import Stream

from api.generations.documents import Seen, generation_of
from api.generations.seeing import see, see_again, wait_for
from api.http import event_streams
from api.http.event_streams import HEADERS, MEDIA_TYPE, event_stream, frame
from api.http.principals import Principal
from api.http.schemas import StepEvent, StepName
from api.openapi.documented import refusals
from api.services import Services
from api.texts.i18n import Locale
from api.texts.wording import FAILURES, STEPS

_WORK: tuple[StepName, ...] = ("validating", "generating", "storing")
_LAST_STEP = 4
_DONE = 5


@get(
    "/{generation_id:uuid}/events",
    summary="Progress as server-sent events",
    media_type=MEDIA_TYPE,
    response_headers=HEADERS,
    responses={
        204: ResponseSpec(None, description="Nothing more will come: do not come back."),
        **refusals("NOT_FOUND"),
    },
)
async def events(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    locale: NamedDependency[Locale],
    generation_id: FromPath[UUID],
) -> Response[Any] | Stream:
    """`event: step` with `{"step","status","message"}`, at last `event: done` with the Generation.

    `Last-Event-ID` is honoured, also after the end; who has `done` already is answered 204.
    """
    seen = await see(services, caller.account, generation_id)
    last = _last_event_id(request)
    if last >= _DONE:
        if seen.ending:
            return Response(None, status_code=204)
        last = 0
    return event_stream(_stream(services, seen, last, locale))


async def _stream(
    services: Services, seen: Seen, sent: int, locale: Locale
) -> AsyncIterator[bytes]:
    closes_at = time.monotonic() + event_streams.STREAM_SECONDS_MAX
    yield event_streams.RETRY
    async with services.watcher.watch(seen.request.fact_id) as moved:
        while True:
            moved.clear()
            seen = await see_again(services, seen.request)
            for ordinal, event in due(seen, sent, locale):
                yield event
                sent = ordinal
            if seen.ending or services.watcher.closing or time.monotonic() > closes_at:
                return
            if not await wait_for(moved, event_streams.PING_SECONDS):
                yield event_streams.PING


def due(seen: Seen, sent: int, locale: Locale) -> Iterator[tuple[int, bytes]]:
    """The events after the ordinal `sent` that the state leads to, in order."""
    reached = _reached(seen)
    for ordinal, step in enumerate(_WORK[:reached], 1):
        if ordinal > sent:
            is_now = ordinal == reached and seen.ending is None
            status = seen.status if is_now else "processing"
            event = StepEvent(step=step, status=status, message=STEPS[step].text(locale))
            yield ordinal, frame(ordinal, "step", event)
    if seen.ending is None:
        return
    if sent < _LAST_STEP:
        failed = seen.reason
        event = StepEvent(
            step="error" if failed else "completed",
            status=seen.status,
            message=(FAILURES[failed] if failed else STEPS["completed"]).text(locale),
        )
        yield _LAST_STEP, frame(_LAST_STEP, "step", event)
    if sent < _DONE:
        yield _DONE, frame(_DONE, "done", generation_of(seen, locale))


def _reached(seen: Seen) -> int:
    """How many of the steps of work were begun, as far as is known."""
    if seen.ending is None:
        return _WORK.index(seen.step or "validating") + 1
    match seen.reason:
        case None | "storage_failed":
            return 3
        case "canceled" | "expired":
            return 1 if not _attempted(seen) else 2
        case _:
            return 2


def _attempted(seen: Seen) -> bool:
    ending = seen.ending.fact if seen.ending else None
    return bool(getattr(ending, "attempts", ()))


def _last_event_id(request: Request[Any, Any, Any]) -> int:
    value = request.headers.get("Last-Event-ID", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) == 1 else 0
