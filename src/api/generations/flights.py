"""One at a time for each idempotency key: callers of one key wait for the first's outcome."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID


class _Flight:
    __slots__ = ("lock", "waiting")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0


class Flights:
    """Saves work and nothing else: what may happen once only, the ledger decides."""

    def __init__(self) -> None:
        self._flights: dict[UUID, _Flight] = {}

    @asynccontextmanager
    async def alone(self, key_id: UUID) -> AsyncIterator[None]:
        """Enter when no other task of this event loop is inside with the same key."""
        flight = self._flights.setdefault(key_id, _Flight())
        flight.waiting += 1
        try:
            async with flight.lock:
                yield
        finally:
            flight.waiting -= 1
            if flight.waiting == 0:
                del self._flights[key_id]
