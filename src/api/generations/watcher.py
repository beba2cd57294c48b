"""Wakes those who wait for a generation or a balance: one LISTEN connection a process.

A notice of the log does not say what changed, so one query a wake-up asks for everything that is
waited for, and only those whose state moved are woken: a thousand waits cost one query. It polls as
well. Where nobody waits it listens to nothing: each notice would wake the server and us in vain.
"""

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
import structlog

from generation.leases import CHANNEL as STEPS_CHANNEL
from generation.leases import steps_of
from ledger.identity import ending_id
from ledger.log import CHANNEL as LOG_CHANNEL

POLL_SECONDS = 0.5
REST_SECONDS = 0.02
RECONNECT_SECONDS = 1.0
CONNECT_SECONDS_MAX = 3
LINGER_SECONDS = 10.0
"""It listens on for so long when nobody waits any more."""

WATCHED_MAX = 10_000

_ENDED = "SELECT fact_id FROM ledger_events WHERE fact_id = ANY(%s)"
_VERSIONS = """
SELECT a, (SELECT max(version) FROM ledger_events WHERE account_id = a)
FROM unnest(%s::text[]) AS a"""
_log = structlog.get_logger("api.watcher")
_Watchable = UUID | str
"""A generation by its id, an account by its own."""

_State = tuple[bool, str | None] | int | None


class TooManyWatchedError(Exception):
    """No more callers are let wait in this process."""


class _Watched:
    __slots__ = ("events", "state")

    def __init__(self) -> None:
        self.events: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self.state: _State | None = None


class Watcher:
    """Owns one thread and, while anybody waits, one connection. A lost one is made again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._watched: dict[_Watchable, _Watched] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to listen; once."""
        self._thread.start()

    def stop_waiting(self) -> None:
        """Let all waits and streams end now; call it when the process is told to stop."""
        self._stop.set()
        self._wanted.set()

    def close(self) -> None:
        """The same, and wait for the thread. Safe to call twice."""
        self.stop_waiting()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def closing(self) -> bool:
        """Whether the process is going down, and nobody should wait any longer."""
        return self._stop.is_set()

    @asynccontextmanager
    async def watch(self, what: _Watchable) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever it has moved. Look at the state afterwards.

        It may be set once too often, never too seldom. Raises `TooManyWatchedError`.
        """
        entry = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if len(self._watched) >= WATCHED_MAX:
                raise TooManyWatchedError
            self._watched.setdefault(what, _Watched()).events.append(entry)
            self._wanted.set()
        try:
            yield entry[1]
        finally:
            with self._lock:
                watched = self._watched[what]
                watched.events.remove(entry)
                if not watched.events:
                    del self._watched[what]

    def _run(self) -> None:
        while self._wanted.wait() and not self._stop.is_set():
            try:
                with psycopg.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=CONNECT_SECONDS_MAX,
                    application_name="mintage watcher",
                ) as connection:
                    self._listen(connection)
            except Exception as error:  # noqa: BLE001 - whoever waits depends on this thread
                _log.warning("listening interrupted", error=type(error).__name__)
                self._stop.wait(RECONNECT_SECONDS)
        with self._lock:
            self._wake(list(self._watched.values()))

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {LOG_CHANNEL}".encode())
        connection.execute(f"LISTEN {STEPS_CHANNEL}".encode())
        end = math.inf
        while not self._stop.is_set():
            self._look(connection)  # also for what moved before this listened
            self._stop.wait(REST_SECONDS)  # what comes in meanwhile is one look, not many
            for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                pass
            with self._lock:
                end = math.inf if self._watched else min(end, time.monotonic() + LINGER_SECONDS)
                if time.monotonic() >= end:
                    self._wanted.clear()
                    break
        if self._stop.is_set():  # it may have been told so just before
            self._wanted.set()

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            generations = [what for what in self._watched if isinstance(what, UUID)]
            accounts = [what for what in self._watched if isinstance(what, str)]
        states: dict[_Watchable, _State] = {}
        if generations:
            states.update(_states(connection, generations))
        if accounts:
            states.update(connection.execute(_VERSIONS, (accounts,)).fetchall())
        with self._lock:
            moved = []
            for what, state in states.items():
                watched = self._watched.get(what)
                if watched is not None and watched.state != state:
                    watched.state = state
                    moved.append(watched)
            self._wake(moved)

    def _wake(self, moved: Sequence[_Watched]) -> None:
        for watched in moved:
            for loop, event in watched.events:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    loop.call_soon_threadsafe(event.set)


def _states(
    connection: psycopg.Connection[Any], generations: Sequence[UUID]
) -> dict[_Watchable, _State]:
    endings = [ending_id(generation_id) for generation_id in generations]
    ended = {row[0] for row in connection.execute(_ENDED, (endings,))}
    steps = steps_of(connection, generations)
    return {
        generation_id: (ending in ended, steps.get(generation_id))
        for generation_id, ending in zip(generations, endings, strict=True)
    }
