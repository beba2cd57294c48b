"""Waiting for the server apart from asking it, so that there is something to do in between.

psycopg waits where it executes; these are libpq's own asynchronous calls, as psycopg makes them.
"""

import select

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn


def flush(pgconn: PGconn) -> None:
    """Return once the network has what was sent. Raises `OperationalError`."""
    while pgconn.flush():
        # The server may have to be read from before it reads on.
        if _wait(pgconn, select.POLLIN | select.POLLOUT) & select.POLLIN:
            pgconn.consume_input()


def has_answer(pgconn: PGconn) -> bool:
    """Whether `receive` would not wait: the answer is there, or never will be."""
    try:
        pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return not pgconn.is_busy()


def receive(pgconn: PGconn) -> None:
    """Wait for the whole answer. Raises the first error in it, as psycopg would."""
    error: psycopg.Error | None = None
    while True:
        while pgconn.is_busy():
            _wait(pgconn, select.POLLIN)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            break
        if result.status == ExecStatus.FATAL_ERROR and error is None:
            error = error_from_result(result)
    if error:
        raise error


def _wait(pgconn: PGconn, events: int) -> int:
    poll = select.poll()
    poll.register(pgconn.socket, events)
    return poll.poll()[0][1]
