"""uvicorn's HTTP with the bounds that it lacks: the size of a head, and the time to send one.

Without them one caller, without a key, could fill the memory or sit on every connection. And with
a short way out for answers that are whole.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from weakref import ref

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from api.http.one_write import OneWrite

HEAD_BYTES_MAX = 65_536
"""Of a request line with its headers, or of trailers; what one read brings may come on top."""

HEAD_SECONDS_MAX = 15.0
"""From the connection, or from a further request's first byte, to the end of its headers."""


WHOLE = "mintage.response.whole"
"""In a scope's `extensions`: `send_whole`, for that request."""


class BoundedHttp(HttpToolsProtocol):
    """For uvicorn's `http`. Too long a head is answered 400; one that takes too long is hung up."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As uvicorn calls it."""
        super().__init__(*args, **kwargs)
        self._undigested = 0
        self._in_head = False
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Expect a head."""
        super().connection_made(cast("asyncio.Transport", OneWrite(transport, self.loop)))
        self._in_head = True
        self._expect_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what nothing has come of yet: parts of a head, since a body is passed on."""
        self._undigested += len(data)
        super().data_received(data)
        if self._undigested > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.logger.warning("Request head too large.")
            self.send_400_response("Request head too large.")
        if self._in_head and self._late is None:  # most come whole, and need no timer
            self._expect_rest()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_came()
        self._undigested = 0
        super().on_headers_complete()
        # The task that answers has not begun yet. It holds the cycle; the cycle holds the scope.
        send = partial(send_whole, ref(self.cycle))
        cast("dict[str, Any]", self.scope)["extensions"] = {WHOLE: send}

    def on_body(self, body: bytes) -> None:
        """A piece of the body, which has a bound of its own."""
        self._undigested = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body's end, trailers included."""
        self._undigested = 0
        super().on_message_complete()

    def _expect_rest(self) -> None:
        self._late = self.loop.call_later(HEAD_SECONDS_MAX, self.transport.close)

    def _head_came(self) -> None:
        self._in_head = False
        if self._late is not None:
            self._late.cancel()
            self._late = None


def send_whole(
    asked: Callable[[], RequestResponseCycle | None], status: int, head: bytes, body: bytes
) -> bool:
    """Answer at once; False, with nothing sent, where that has to take ASGI's way.

    `head` is lines, each with its end, without `Content-Length` and `Connection`; they are sent
    as they are. Of what uvicorn does with ASGI's two messages nearly all is looking at the head.
    """
    cycle = asked()
    if cycle is None or cycle.response_started or not cycle.keep_alive or cycle.flow.write_paused:
        return False
    if cycle.disconnected:
        return True
    cycle.response_started = cycle.response_complete = True
    own = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])
    line = STATUS_LINE[status]
    length = b"content-length: %d\r\n\r\n" % len(body)
    cast("OneWrite", cycle.transport).write_whole(b"".join((line, own, head, length, body)))
    cycle.message_event.set()
    cycle.on_response()
    return True
