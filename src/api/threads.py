"""Where blocking work runs: bounded threads, so that the event loop never waits for it."""

import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from eventsourcing import persistence
from psycopg_pool import ConnectionPool, PoolTimeout

from api.connection import Connection
from generation.pictures import DECODERS_MAX

P = ParamSpec("P")
T = TypeVar("T")

READS_MAX = 8
VIEW_READS_MAX = 4
STORAGE_CALLS_MAX = 8
AUDIT_READS_MAX = 4
CHECKS_MAX = 4
"""All parts of one look at whether it is ready."""

EXPORT_READS_MAX = 2
CONNECTIONS_MAX = READS_MAX + VIEW_READS_MAX + AUDIT_READS_MAX + CHECKS_MAX + EXPORT_READS_MAX
"""A thread uses one connection at a time, so that none waits for one."""

DOWN_SECONDS = 0.5


class DatabaseDownError(Exception):
    """No connection was to be had a moment ago; nothing was tried."""


class Threads:
    """Each kind of work has its own bound, so that slow storage cannot starve quick reads."""

    def __init__(self, pool: ConnectionPool[Connection]) -> None:
        self._pool = pool
        self._reads = CapacityLimiter(READS_MAX)
        self._view_reads = CapacityLimiter(VIEW_READS_MAX)
        self._audit_reads = CapacityLimiter(AUDIT_READS_MAX)
        self._storage = CapacityLimiter(STORAGE_CALLS_MAX)
        self._pictures = CapacityLimiter(DECODERS_MAX)
        self._checks = CapacityLimiter(CHECKS_MAX)
        self._exports = CapacityLimiter(EXPORT_READS_MAX)
        self._down_until = 0.0

    async def query(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`function` with a connection in autocommit mode."""
        call = self._with_connection(function, *args, **kwargs)
        return await to_thread.run_sync(self._unless_down, call, limiter=self._reads)

    async def audit(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same for what support asks of the log, which may take long: never before logins."""
        call = self._with_connection(function, *args, **kwargs)
        return await to_thread.run_sync(self._unless_down, call, limiter=self._audit_reads)

    async def export(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same for a part of an export: few at a time, and never before quick reads."""
        call = self._with_connection(function, *args, **kwargs)
        return await to_thread.run_sync(self._unless_down, call, limiter=self._exports)

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A quick read of the ledger."""

        def call() -> T:
            return function(*args, **kwargs)

        return await to_thread.run_sync(self._unless_down, call, limiter=self._reads)

    async def read_view(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read that may first wait for the views to come level."""

        def call() -> T:
            return function(*args, **kwargs)

        return await to_thread.run_sync(self._unless_down, call, limiter=self._view_reads)

    async def store(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call of the storage."""
        return await to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self._storage)

    async def picture(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Decoding of a picture or of a large body: mostly memory, so few at a time."""
        return await to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self._pictures)

    async def check(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A health check: never behind the others' work."""
        return await to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self._checks)

    def _with_connection(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[], T]:
        def call() -> T:
            with self._pool.connection() as connection:
                return function(connection, *args, **kwargs)

        return call

    def _unless_down(self, call: Callable[[], T]) -> T:
        """One caller waits for a database that is down; those behind it are told at once."""
        if time.monotonic() < self._down_until:
            raise DatabaseDownError
        try:
            return call()
        except (PoolTimeout, persistence.OperationalError) as error:
            if isinstance(error, PoolTimeout) or isinstance(error.__cause__, PoolTimeout):
                self._down_until = time.monotonic() + DOWN_SECONDS
            raise
