"""An answer's head and the first piece of its body leave in one write.

uvicorn writes them one after the other, and each is a message to the kernel and, often, a segment
of its own on the wire: of a short answer a tenth of all that it takes.
"""

import asyncio
from typing import Any

_HEAD = b"HTTP/1.1 "


class OneWrite:
    """A transport that holds a head back until what follows, or the loop's next turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send it, after a head that was held back, or hold it back."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        elif data.startswith(_HEAD):
            self._head = data
            self._loop.call_soon(self._send_head)
        else:
            self._transport.write(data)

    def write_whole(self, answer: bytes) -> None:
        """Send head and body, which are one already."""
        self._send_head()
        self._transport.write(answer)

    def close(self) -> None:
        """Close it once all is sent."""
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
