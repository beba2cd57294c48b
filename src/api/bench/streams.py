"""What a store of events is asked for in its best case: each caller has a stream of its own.

Its version is known, so that nothing is read and nothing conflicts; nothing is decided, and no
idempotency key is looked up.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec

from api.bench import work
from api.bench.callers import Step, Tally, tally
from ledger.identity import new_id

Stream = TypeVar("Stream")
Data = dict[str, Any]
Append = Callable[[Stream, str, Data], Awaitable[None]]

REQUESTED, CONSUMED = "Requested", "Consumed"


class Streams(Generic[Stream]):
    """Pairs of appends to whichever of the streams is free."""

    def __init__(self, streams: list[Stream], append: Append[Stream]) -> None:
        self._free = deque(streams)
        self._append = append

    async def measure(self, *, seconds: float) -> Tally:
        """As many callers as there are streams."""
        return await tally(self._pair, callers=len(self._free), seconds=seconds)

    def _pair(self) -> tuple[Step, Step]:
        stream = self._free.popleft()
        generation_id = new_id()
        cost = work.PROMPT.token_cost
        data = {"generation_id": str(generation_id), "cost": cost}

        async def request() -> None:
            prompt = msgspec.to_builtins(work.PROMPT)
            await self._append(stream, REQUESTED, {**data, "prompt": prompt})

        async def settle() -> None:
            images = [msgspec.to_builtins(work.image(generation_id))]
            await self._append(stream, CONSUMED, {**data, "images": images})
            self._free.append(stream)

        return request, settle
