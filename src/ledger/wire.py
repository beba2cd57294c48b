"""Waiting for the server apart from asking it, so that there is something to do in between.

psycopg waits where it executes; these are libpq's own asynchronous calls, as psycopg makes them.
"""

import math
import select
import time
from collections.abc import Callable

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

Wait = Callable[[PGconn, int], int]
"""Waits for some of poll's events on the connection, and returns which came."""


class Patience:
    """A wait until a moment of the monotonic clock, and no longer."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """0 once it is over."""
        return max(self._end - time.monotonic(), 0.0)

    def __call__(self, pgconn: PGconn, events: int) -> int:
        """Raises `OperationalError`, as for a lost connection, where the server says nothing."""
        if not (come := poll(pgconn, events, self.seconds_left)):
            raise psycopg.OperationalError("the server does not answer")
        return come


def poll(pgconn: PGconn, events: int, seconds: float | None) -> int:
    """Which of the events came within so many seconds, or at all; 0 where none has."""
    polled = select.poll()
    polled.register(pgconn.socket, events)
    ready = polled.poll(None if seconds is None else math.ceil(seconds * 1000))
    return ready[0][1] if ready else 0


def flush(pgconn: PGconn, wait: Wait) -> None:
    """Return once the network has what was sent. Raises `OperationalError`."""
    while pgconn.flush():
        # The server may have to be read from before it reads on.
        if wait(pgconn, select.POLLIN | select.POLLOUT) & select.POLLIN:
            pgconn.consume_input()


def has_answer(pgconn: PGconn) -> bool:
    """Whether `receive` would not wait: the answer is there, or never will be."""
    try:
        pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return not pgconn.is_busy()


def next_result(pgconn: PGconn, wait: Wait) -> PGresult | None:
    """Wait for the next part of the answer; None at its end."""
    while pgconn.is_busy():
        wait(pgconn, select.POLLIN)
        pgconn.consume_input()
    return pgconn.get_result()


def receive(pgconn: PGconn, wait: Wait) -> None:
    """Wait for the whole answer. Raises the first error in it, as psycopg would."""
    error: psycopg.Error | None = None
    while result := next_result(pgconn, wait):
        if result.status == ExecStatus.FATAL_ERROR and error is None:
            error = error_from_result(result)
    if error:
        raise error
