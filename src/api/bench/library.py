"""The `eventsourcing` library as it comes."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict

from api.bench import work
from api.bench.callers import Run, Step, measure, run
from ledger.identity import new_id

THREADS_MAX = 16


class _Wallet(Aggregate):
    @event("Opened")
    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.held = 0

    @event("Requested")
    def request(self, generation_id: str, cost: int) -> None:  # noqa: ARG002 - in the event
        """Hold."""
        self.held += cost

    @event("Consumed")
    def settle(self, generation_id: str, cost: int, image: Any) -> None:  # noqa: ARG002
        """Charge."""
        self.tokens -= cost
        self.held -= cost


class PlainLibrary:
    """The `eventsourcing` library as it comes: one aggregate, one `save()`, one commit a step.

    Each caller has an aggregate of its own, kept in memory, so that nothing is read and nothing
    conflicts: the best case for it.
    """

    def __init__(self, url: str) -> None:
        parts = conninfo_to_dict(url)
        self._application: Application[UUID] = Application(
            {
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": str(parts["dbname"]),
                "POSTGRES_HOST": str(parts["host"]),
                "POSTGRES_PORT": str(parts.get("port", 5432)),
                "POSTGRES_USER": str(parts["user"]),
                "POSTGRES_PASSWORD": str(parts.get("password", "")),
                "POSTGRES_POOL_SIZE": str(THREADS_MAX),
            }
        )

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Threads, since the library is synchronous; more of them do not make it quicker."""
        del pick
        threads = ThreadPoolExecutor(THREADS_MAX)
        wallets = [_Wallet(tokens=work.TOKENS) for _ in range(callers)]
        self._application.save(*wallets)
        free = list(wallets)

        def step(wallet: _Wallet, generation_id: UUID, *, settle: bool) -> None:
            if settle:
                data = msgspec.to_builtins(work.image(generation_id))
                wallet.settle(str(generation_id), work.PROMPT.token_cost, data)
            else:
                wallet.request(str(generation_id), work.PROMPT.token_cost)
            self._application.save(wallet)

        async def in_thread(wallet: _Wallet, generation_id: UUID, *, settle: bool) -> None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(threads, lambda: step(wallet, generation_id, settle=settle))
            if settle:
                free.append(wallet)

        def pair() -> tuple[Step, Step]:
            wallet, generation_id = free.pop(), new_id()
            return (
                lambda: in_thread(wallet, generation_id, settle=False),
                lambda: in_thread(wallet, generation_id, settle=True),
            )

        result = run(measure(pair, callers=callers, seconds=seconds))
        threads.shutdown()
        return result

    def close(self) -> None:
        """Give its connections back."""
        self._application.close()
