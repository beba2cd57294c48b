"""How many bytes of pictures a process has in memory at once, from the wire until they are stored.

Thousands of calls may be in flight, and their answers may all come at one moment: an answer waits
in its connection, unread, until there is room for it.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

BYTES_MAX = 128 * 1024 * 1024
"""As they come over the wire; while one is decoded it takes some three times as much."""


class Room:
    """`bytes_max` for all parts together; who comes first is let in first."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def part(self) -> "Part":
        """A part of it, empty yet, for one picture; leave it to give it back."""
        return Part(self)

    async def take(self, count: int) -> None:
        """Wait until there is room for `count`; what is larger than the room has it alone."""
        if not self._waiting and self._fits(count):
            self._taken += count
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give(count)  # it was let in at the moment of the cancel
            else:
                self._let_in()
            raise

    def give(self, count: int) -> None:
        """Let others have it."""
        self._taken -= count
        self._let_in()

    def overdraw(self, count: int) -> None:
        """Take it whether there is room or not: who waited holding a part could wait for ever."""
        self._taken += count

    def _fits(self, count: int) -> bool:
        return self._taken == 0 or self._taken + count <= self._bytes_max

    def _let_in(self) -> None:
        while self._waiting:
            count, future = self._waiting[0]
            if not future.done():
                if not self._fits(count):
                    return
                self._taken += count
                future.set_result(None)
            self._waiting.popleft()


class Part:
    """What one picture takes of the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._count = 0

    async def take(self, count: int) -> None:
        """Have `count` in all, waiting for it if need be."""
        self.empty()
        await self._room.take(count)
        self._count = count

    def reach(self, count: int) -> None:
        """Have at least `count`, which turned out to be needed; never waits."""
        if count > self._count:
            self._room.overdraw(count - self._count)
            self._count = count

    def empty(self) -> None:
        """Give all of it back; safe to call twice."""
        count, self._count = self._count, 0
        if count:
            self._room.give(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.empty()
