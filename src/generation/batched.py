"""Many small calls as few large ones: what comes in while one is under way goes together next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

BATCH_MAX = 1_000


class Batched(Generic[T, R]):
    """`function` for one item, of an event loop's tasks; nothing waits on purpose.

    It is called with up to `BATCH_MAX` items and answers as many, in their order. What it raises is
    raised to each of them. Giving up the wait does not take the item back.
    """

    def __init__(self, function: Callable[[list[T]], Awaitable[Sequence[R]]]) -> None:
        self._function = function
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        """The answer for this item."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), BATCH_MAX)
                await self._call([self._waiting.popleft() for _ in range(count)])
        finally:
            self._running = None

    async def _call(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._function([item for item, _ in batch])
            told = list(zip(batch, results, strict=True))
        except Exception as error:  # noqa: BLE001 - it is each caller's
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in told:
            if not future.done():  # its caller may have been canceled
                future.set_result(result)
