"""Long answers, streamed piece by piece in constant memory.

Whatever goes wrong in the middle cuts the connection, so that nobody takes a part for the whole.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import structlog
from litestar.response import Stream
from litestar.response.base import ASGIResponse
from litestar.types import Message, Receive, Scope, Send

from api.http.slots import ExportSlots

STALL_SECONDS_MAX = 60.0
"""A reader that takes nothing for so long is hung up."""

_log = structlog.get_logger("api.exports")


class Export(Stream):
    """An answer that holds a slot, which `taker` has, until its last byte or the reader is gone."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        *,
        slots: ExportSlots,
        taker: str,
        media_type: str,
        headers: dict[str, str],
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._slots = slots
        self._taker = taker

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
                self._slots.give_back(self._taker)

        return cast("ASGIResponse", send_bounded)


def _why(error: BaseException) -> dict[str, str]:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return {"error": type(error).__name__, "cause": str(error)[:300]}
