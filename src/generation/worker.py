"""The worker: claims open generations, runs an attempt for each, keeps their leases alive.

Woken by NOTIFY, and polling too, since a notification can be lost. A generation that another
worker takes over, or that ends meanwhile (a cancel), is dropped at the next heartbeat.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import psycopg
import structlog

from generation import expiry, leases, metrics
from generation.attempt import Attempt
from generation.database import Database
from generation.leases import Lease, LeaseLostError
from generation.provider import Provider
from generation.storage import Storage
from generation.sweep import Sweep
from generation.workshop import Limits, Workshop
from ledger.identity import new_id
from ledger.ledger import Ledger

POLL_SECONDS = 1.0
CLAIM_MAX = 100
"""At a time: beginning thousands at once would keep all of them from being on time."""

CLAIM_SECONDS = 0.05
"""Between two claims that found something: each has to pass over all that is being worked on."""

HEARTBEAT_SECONDS_MAX = 2.0
FAILED_SECONDS_MAX = 60.0
SWEEP_SECONDS = 600.0
VIEWS_CHANNEL = "mintage_views"

_log = structlog.get_logger("generation.worker")


class Worker:
    """Runs until `stop`; then gives its leases back, so that others need not wait."""

    def __init__(
        self,
        *,
        url: str,
        ledger: Ledger,
        provider: Provider,
        storage: Storage,
        limits: Limits,
        concurrency: int = 100,
    ) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{str(new_id())[-6:]}"
        self._url = url
        self._ledger = ledger
        self._limits = limits
        self._concurrency = concurrency
        self._database = Database(url)
        self._shop = Workshop(
            worker=self.name,
            ledger=ledger,
            database=self._database,
            provider=provider,
            storage=storage,
            limits=limits,
        )
        self._running: dict[UUID, tuple[Lease, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._sweep_stopping = threading.Event()

    def stop(self) -> None:
        """Ask `run` to end; call it on the loop that runs it."""
        self._stopping.set()
        self._sweep_stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`. A database that is away is waited for."""
        heartbeat = min(self._limits.lease_seconds / 3, HEARTBEAT_SECONDS_MAX)
        sweep = Sweep(
            self._ledger,
            self._shop.storage,
            grace_seconds=self._grace_seconds(),
            stopping=self._sweep_stopping,
        )
        loops = (
            self._again("claim", 0, self._claim),
            self._again("heartbeat", heartbeat, self._heartbeat),
            self._again("expiry", POLL_SECONDS, self._expire),
            self._again("sweep", SWEEP_SECONDS, lambda: asyncio.to_thread(sweep.run)),
            self._listen(),
        )
        tasks = [asyncio.create_task(loop) for loop in loops]
        _log.info("worker started", worker=self.name, provider=self._shop.provider.name)
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._abandon()
        await self._shop.provider.aclose()
        self._shop.close()
        self._database.close()
        _log.info("worker stopped", worker=self.name)

    def _grace_seconds(self) -> float:
        """Longer than any lease and any generation: nothing younger is ever swept."""
        return 2 * (self._limits.lease_seconds + self._limits.deadline_seconds)

    async def _again(
        self, name: str, seconds: float, function: Callable[[], Coroutine[Any, Any, Any]]
    ) -> None:
        """`function` every `seconds`; one that fails is logged and tried again."""
        while True:
            try:
                await function()
            except Exception as error:  # noqa: BLE001 - a worker outlives a database that is away
                _log.warning("worker loop failed", loop=name, error=type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)
            await asyncio.sleep(seconds)

    async def _claim(self) -> None:
        free = min(self._concurrency - len(self._running), CLAIM_MAX)
        self._wake.clear()
        claimed: list[Lease] = []
        if free:
            claimed = await self._database.run(
                leases.claim,
                worker=self.name,
                limit=free,
                seconds=self._limits.lease_seconds,
            )
        for lease in claimed:
            task = asyncio.create_task(self._attempt(lease))
            self._running[lease.generation_id] = (lease, task)
        metrics.IN_FLIGHT.set(len(self._running))
        if claimed:
            await asyncio.sleep(CLAIM_SECONDS)
        else:
            with contextlib.suppress(TimeoutError):
                # Not wait_for: on Python 3.11 it swallows a cancel that comes with the wake-up.
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()

    async def _attempt(self, lease: Lease) -> None:
        with structlog.contextvars.bound_contextvars(
            generation_id=str(lease.generation_id),
            account_id=lease.account_id,
            attempt=lease.attempt,
        ):
            try:
                await Attempt(lease, self._shop).run()
            except LeaseLostError:
                _log.info("lease lost")
            except Exception:  # noqa: BLE001 - one attempt never ends the worker
                _log.exception("attempt failed")
                # Not at once: what fails at once would be claimed and fail again without end.
                wait_seconds = min(2.0 ** min(lease.attempt, 10), FAILED_SECONDS_MAX)
                with contextlib.suppress(psycopg.Error):
                    await self._database.run(leases.give_back, [lease], after_seconds=wait_seconds)
            finally:
                if self._holds(lease):
                    del self._running[lease.generation_id]
                self._wake.set()

    def _holds(self, lease: Lease) -> bool:
        """Not so once it has run out and we have claimed the generation anew."""
        return self._running.get(lease.generation_id, (None,))[0] is lease

    async def _heartbeat(self) -> None:
        held = [lease for lease, _ in self._running.values()]
        if held:
            kept = await self._database.run(leases.renew, held, seconds=self._limits.lease_seconds)
            for lease in held:
                if lease.generation_id not in kept and self._holds(lease):
                    self._running[lease.generation_id][1].cancel()
        await self._database.run(leases.drop_ended)

    async def _expire(self) -> None:
        expired = await self._database.run(
            expiry.overdue, deadline_seconds=self._limits.deadline_seconds
        )
        released = (self._ledger.record_async(expiry.release(each)) for each in expired)
        for outcome in await asyncio.gather(*released):
            expiry.count(outcome)

    async def _abandon(self) -> None:
        held = list(self._running.values())
        for _, task in held:
            task.cancel()
        await asyncio.gather(*(task for _, task in held), return_exceptions=True)
        with contextlib.suppress(psycopg.Error):
            await self._database.run(leases.give_back, [lease for lease, _ in held])

    async def _listen(self) -> None:
        """Wake `_claim` at each notification; a lost connection is made again."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=5
                ) as connection:
                    await connection.execute(f"LISTEN {VIEWS_CHANNEL}".encode())
                    async for _ in connection.notifies():
                        self._wake.set()
            except psycopg.Error as error:
                _log.warning("listening failed", error=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)
