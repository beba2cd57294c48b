"""Server-sent events: their wire form, and how long a stream may live."""

from collections.abc import AsyncIterator

import msgspec
from litestar.response import ServerSentEventMessage, Stream

from api.openapi.documented import header

MEDIA_TYPE = "text/event-stream"
PING_SECONDS = 10.0
PING = b": ping\n\n"
STREAM_SECONDS_MAX = 900.0
"""Then the stream closes and the reader comes back by itself."""

RETRY = b"retry: 2000\n\n"
"""After so many milliseconds a reader that was cut off comes back."""

HEADERS = [header("X-Accel-Buffering", "`no`: proxies must pass events on at once.")]


def frame(ident: int, name: str, data: msgspec.Struct) -> bytes:
    """One event as it is sent."""
    text = msgspec.json.encode(data)
    return ServerSentEventMessage(data=text, event=name, id=ident, sep="\n").encode()


def event_stream(events: AsyncIterator[bytes]) -> Stream:
    """The answer that carries them."""
    return Stream(
        events,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
