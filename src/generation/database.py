"""A bounded pool of connections for code on an event loop: SQL runs in threads, never on it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg_pool import ConnectionPool
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

P = ParamSpec("P")
T = TypeVar("T")
Connection = psycopg.Connection[Any]


class Database:
    """`threads` connections at the most, each with its thread. Close it when done."""

    def __init__(self, url: str, *, threads: int = 8) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="database")
        self._pool = ConnectionPool(
            url,
            min_size=1,
            max_size=threads,
            timeout=10,
            open=True,
            kwargs={"autocommit": True, "connect_timeout": 5},
        )

    async def run(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`function` with a connection in autocommit mode, in a thread.

        A lost connection is made again and `function` called again, three times in all, within
        about two seconds; so it must bear being run twice.
        """

        @retry(
            retry=retry_if_exception_type((psycopg.OperationalError, psycopg.InterfaceError)),
            stop=stop_after_attempt(3),
            wait=wait_random_exponential(0.2, max=2),
            reraise=True,
        )
        def call() -> T:
            with self._pool.connection() as connection:
                return function(connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Wait for what runs, then give the connections back."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._pool.close()
