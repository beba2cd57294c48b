"""Many streams of server-sent events, held open from this process, and when each is told."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, cast

OPEN_AT_ONCE = 100
OPEN_SECONDS_MAX = 120.0
TOLD_SECONDS_MAX = 60.0


class Wanted(NamedTuple):
    """A stream: what is asked, and the words that tell, when they have come so many `times`."""

    request: bytes
    mark: bytes
    times: int


def request(path: str, key: str) -> bytes:
    """Asks for a stream."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Accept: text/event-stream\r\nAccept-Language: en\r\n\r\n".encode()


class _Stream(asyncio.Protocol):
    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._left = wanted.times
        self._rest = b""
        self.transport: asyncio.Transport | None = None
        self.told_at = 0.0
        self.opened = asyncio.Event()
        self.told = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own are no subclass
        self.transport.write(self._wanted.request)

    def data_received(self, data: bytes) -> None:
        seen = self._rest + data
        if b"event: " in seen:
            self.opened.set()
        mark = self._wanted.mark
        self._left -= seen.count(mark)
        if self._left <= 0 and not self.told_at:
            self.told_at = time.perf_counter()
            self.told.set()
        after = seen.rfind(mark) + len(mark) if mark in seen else 0
        self._rest = seen[max(after, len(seen) - len(mark) + 1) :]


class Streams:
    """All of them. Use it on one event loop."""

    def __init__(self) -> None:
        self._streams: list[_Stream] = []

    async def open(self, port: int, wanted: Sequence[Wanted]) -> None:
        """Return once each has had its first event. Raises `TimeoutError`."""
        loop = asyncio.get_running_loop()
        limit = asyncio.Semaphore(OPEN_AT_ONCE)

        async def one(each: Wanted) -> _Stream:
            async with limit:
                _, stream = await loop.create_connection(lambda: _Stream(each), "127.0.0.1", port)
                await stream.opened.wait()
                return stream

        async with asyncio.timeout(OPEN_SECONDS_MAX):
            self._streams = await asyncio.gather(*map(one, wanted))

    async def told(self, end: Callable[[int], Awaitable[None]], *, seconds: float) -> list[float]:
        """End one after another within `seconds`; how many each was told of its end after.

        Counted from when `end` returned. Raises `TimeoutError`.
        """

        async def one(number: int, stream: _Stream) -> float:
            await asyncio.sleep(seconds * number / len(self._streams))
            await end(number)
            ended_at = time.perf_counter()
            async with asyncio.timeout(TOLD_SECONDS_MAX):
                await stream.told.wait()
            return max(stream.told_at - ended_at, 0.0)

        return list(await asyncio.gather(*(one(i, s) for i, s in enumerate(self._streams))))

    def close(self) -> None:
        """Hang up."""
        for stream in self._streams:
            if stream.transport is not None:
                stream.transport.abort()
