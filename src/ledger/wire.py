"""Waiting for the server apart from asking it, so that there is something to do in between.

psycopg waits where it executes; these are libpq's own asynchronous calls, as psycopg makes them.
"""

import math
import select
import time
from collections import deque
from collections.abc import Callable, Sequence

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format, PipelineStatus
from psycopg.pq.abc import PGconn, PGresult

Wait = Callable[[PGconn, int], int]
"""Waits for some of poll's events on the connection, and returns which came."""


class Answers:
    """What the server says to what was sent, in order, taken in as it comes.

    One message of the simple protocol is under way, or statements that were prepared, each a
    transaction by itself: the next lies at the server when the one before it is done.
    """

    def __init__(self, pgconn: PGconn, seconds_max: float) -> None:
        self._pgconn = pgconn
        self._seconds_max = seconds_max
        self._end = math.inf
        self._unsent = False
        self._owed = 0
        self._come: deque[psycopg.Error | None] = deque()
        self._error: psycopg.Error | None = None  # in the one that is coming
        self._lost: psycopg.OperationalError | None = None

    @property
    def can_follow(self) -> bool:
        """Whether a prepared statement can be sent while others are under way."""
        return self._pgconn.pipeline_status != PipelineStatus.OFF  # ABORTED until an error's end

    def send(self, message: bytes) -> None:
        """Send, while nothing is under way, what there is room for; `has_come` sees to the rest.

        Raises `OperationalError`.
        """
        self._pgconn.send_query(message)
        self._expect()

    def send_prepared(
        self, name: bytes, parameters: Sequence[bytes | None], formats: Sequence[int]
    ) -> None:
        """The same of a statement, which may follow others; `formats` are of its first parameters.

        The others are texts.
        """
        if not self._owed:
            self._pgconn.enter_pipeline_mode()
        texts = [Format.TEXT] * (len(parameters) - len(formats))
        self._pgconn.send_query_prepared(name, parameters, [*formats, *texts])
        self._pgconn.pipeline_sync()
        self._expect()

    @property
    def seconds_left(self) -> float:
        """How long the oldest may still be waited for."""
        return max(self._end - time.monotonic(), 0.0)

    @property
    def events(self) -> int:
        """Upon which of poll's events there may be more."""
        # The server may have to be read from before it reads on.
        return select.POLLIN | (select.POLLOUT if self._unsent else 0)

    def has_come(self) -> bool:
        """Whether `check` can tell of the oldest: it has come whole, or will not come any more."""
        try:
            self._pgconn.consume_input()
            self._unsent = self._unsent and bool(self._pgconn.flush())
        except psycopg.OperationalError as error:
            self._lost = error
        while self._owed and not self._lost and not self._pgconn.is_busy():
            self._take(self._pgconn.get_result())
        return self.is_here or not self.seconds_left

    @property
    def is_here(self) -> bool:
        """Whether that of the oldest has been taken in, so that nothing tells of it any more."""
        return bool(self._come or self._lost)

    def check(self) -> None:
        """Be done with the oldest. Raises the first error in it, as psycopg would.

        `OperationalError` where none came.
        """
        if not self._come:
            raise self._lost or psycopg.OperationalError("the server does not answer")
        if error := self._come.popleft():
            raise error

    def drain(self) -> None:
        """Wait for all that is under way, whatever it is. Raises `OperationalError`."""
        while self._owed:
            if not self.has_come():
                poll(self._pgconn, self.events, self.seconds_left)
            elif not self._come:
                self.check()
            else:
                self._come.popleft()
        self._come.clear()

    def _expect(self) -> None:
        self._owed += 1
        if self._owed == 1:
            self._end = time.monotonic() + self._seconds_max
        self._unsent = bool(self._pgconn.flush())

    def _take(self, result: PGresult | None) -> None:
        """Part of an answer; None ends one message, or one statement before its transaction."""
        if result is None:
            if self.can_follow:
                return
        elif result.status == ExecStatus.FATAL_ERROR:
            self._error = self._error or error_from_result(result)
            if self._pgconn.status == ConnStatus.BAD:
                self._lost = psycopg.OperationalError("the connection is lost")
            return
        elif result.status != ExecStatus.PIPELINE_SYNC:
            return
        self._come.append(self._error)
        self._error = None
        self._owed -= 1
        self._end = time.monotonic() + self._seconds_max
        if not self._owed and self.can_follow:
            self._pgconn.exit_pipeline_mode()


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
