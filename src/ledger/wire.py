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


class Answer:
    """What the server says to what was sent, taken in as it comes: nothing here waits."""

    def __init__(self, pgconn: PGconn, seconds_max: float) -> None:
        """Send what there is room for; `has_come` sees to the rest. Raises `OperationalError`."""
        self._pgconn = pgconn
        self._end = time.monotonic() + seconds_max
        self._unsent = bool(pgconn.flush())
        self._whole = False
        self._error: psycopg.Error | None = None

    @property
    def seconds_left(self) -> float:
        """How long it may still be waited for."""
        return max(self._end - time.monotonic(), 0.0)

    @property
    def events(self) -> int:
        """Upon which of poll's events there may be more of it."""
        # The server may have to be read from before it reads on.
        return select.POLLIN | (select.POLLOUT if self._unsent else 0)

    def has_come(self) -> bool:
        """Whether `check` can tell: it has come whole, or will not come any more."""
        try:
            self._pgconn.consume_input()
            self._unsent = self._unsent and bool(self._pgconn.flush())
        except psycopg.OperationalError as error:
            self._end_with(error)
        while not self._whole and not self._pgconn.is_busy():
            if result := self._pgconn.get_result():
                if result.status == ExecStatus.FATAL_ERROR:
                    self._error = self._error or error_from_result(result)
            else:
                self._whole = True
        return self._whole or not self.seconds_left

    def check(self) -> None:
        """Raises the first error in it, as psycopg would; `OperationalError` where none came."""
        if not self._whole:
            self._end_with(psycopg.OperationalError("the server does not answer"))
        if self._error:
            raise self._error

    def _end_with(self, error: psycopg.Error) -> None:
        self._whole = True
        self._error = self._error or error


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
