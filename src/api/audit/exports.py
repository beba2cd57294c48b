"""The whole answer of a filter, as it stood when the export began, in constant memory.

It is read piece by piece, up to a position: the log only grows behind that, so that no transaction
and no connection is held while a slow reader takes its time. Whatever goes wrong in the middle
cuts the connection, so that nobody takes a part for the whole.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import structlog
from litestar.response import Stream
from litestar.response.base import ASGIResponse
from litestar.types import Message, Receive, Scope, Send

from api.audit.formats import Format
from api.audit.slots import ExportSlots
from api.problems.refusals import ExportCutError
from api.services import Services
from api.threads import Connection
from projections.audit.events import count_in, spans
from projections.audit.pieces import Pieces
from projections.audit.walks import Walk

STALL_SECONDS_MAX = 60.0
"""A reader that takes nothing for so long is hung up."""

_log = structlog.get_logger("api.audit")


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
    reading = Pieces(walk, descending=descending, limit=limit)
    while not reading.is_done:
        if services.watcher.closing:
            raise ExportCutError
        if data := await services.threads.export(_read, reading, form):
            yield data
    if tail := form.tail(reading.count):
        yield tail


def _read(connection: Connection, reading: Pieces, form: Format) -> bytes:
    return form.lines(reading.read(connection))
