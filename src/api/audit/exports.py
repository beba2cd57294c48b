"""The whole answer of a filter, as it stood when the export began, in constant memory.

It is read piece by piece, up to a position: the log only grows behind that, so that no transaction
and no connection is held while a slow reader takes its time. Whatever goes wrong in the middle
cuts the connection, so that nobody takes a part for the whole.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, cast

import structlog
from litestar.response import Stream
from litestar.response.base import ASGIResponse
from litestar.types import Message, Receive, Scope, Send

from api.audit.formats import Format
from api.audit.slots import ExportSlots
from api.problems.refusals import ExportCutError
from api.services import Services
from api.threads import Connection
from projections.audit.events import count_in, read_slice, spans
from projections.audit.walks import Walk

PIECE = 2_000
"""Events that are read, and kept in memory, at a time."""

PIECE_WINDOWS = 10
STALL_SECONDS_MAX = 60.0
"""A reader that takes nothing for so long is hung up."""

_log = structlog.get_logger("api.audit")


class _Piece(NamedTuple):
    data: bytes
    events: int
    next_place: int | None


class Export(Stream):
    """An answer that holds a slot, taken before, until its last byte or the reader is gone."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        *,
        slots: ExportSlots,
        media_type: str,
        headers: dict[str, str],
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._slots = slots

    def to_asgi_response(self, *args: Any, **kwargs: Any) -> ASGIResponse:
        """The same, with a bound on how long it may stall."""
        sending = super().to_asgi_response(*args, **kwargs)

        async def send_bounded(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_in_time(message: Message) -> None:
                async with asyncio.timeout(STALL_SECONDS_MAX):
                    await send(message)

            try:
                await sending(scope, receive, send_in_time)
            except Exception as error:
                _log.warning("export cut off", **_why(error))
                raise
            finally:
                self._slots.give_back()

        return cast("ASGIResponse", send_bounded)


def _why(error: BaseException) -> dict[str, str]:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return {"error": type(error).__name__, "cause": str(error)[:300]}


async def count_of(services: Services, walk: Walk, limit: int | None) -> int:
    """How many events the walk has, `limit` at most. Raises `ExportCutError`."""
    total = 0
    for span in spans(walk):
        if services.watcher.closing:
            raise ExportCutError
        total += await services.threads.export(count_in, walk, span)
        if limit is not None and total >= limit:
            return limit
    return total


async def pieces(
    services: Services, walk: Walk, form: Format, *, descending: bool, limit: int | None
) -> AsyncIterator[bytes]:
    """The export, piece by piece."""
    if head := form.head():
        yield head
    total, place = 0, None
    left = limit
    while left is None or left > 0:
        if services.watcher.closing:
            raise ExportCutError
        piece = await services.threads.export(
            _read, walk, form, place=place, descending=descending, limit=min(left or PIECE, PIECE)
        )
        total += piece.events
        if left is not None:
            left -= piece.events
        if piece.data:
            yield piece.data
        place = piece.next_place
        if place is None:
            break
    if tail := form.tail(total):
        yield tail


def _read(
    connection: Connection,
    walk: Walk,
    form: Format,
    *,
    place: int | None,
    descending: bool,
    limit: int,
) -> _Piece:
    found = read_slice(
        connection, walk, place=place, descending=descending, limit=limit, windows=PIECE_WINDOWS
    )
    return _Piece(form.lines(found.events), len(found.events), found.next_place)
