"""The chainer: closes blocks behind the writers, in a thread of its own."""

import threading
import time
from typing import Any

import psycopg
import structlog

from ledger.chain import failing, metrics
from ledger.chain.blocks import AGE_SECONDS, BLOCK_MAX, advance, chain_end
from ledger.chain.errors import ChainError
from ledger.driver import sentence

POLL_SECONDS = 1.0
"""Nobody waits for a block, so nobody has to wake us."""

REST_SECONDS = 0.001
"""After every few rows: the views are folded in the same process, and come first."""

RETRY_SECONDS_MAX = 60.0
RECONNECT_SECONDS_MAX = 5.0
CONNECT_SECONDS_MAX = 3
_OPTIONS = (b"SET statement_timeout = '60s'", b"SET client_encoding = 'UTF8'")

# Any other database error says that the connection or the moment was bad, not the rows.
_ROW_ERRORS = (
    ChainError,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
    psycopg.ProgrammingError,
)

_log = structlog.get_logger("ledger.chainer")


class Chainer:
    """Several at once are harmless: one closes a block, the others find it closed."""

    def __init__(self, url: str, *, age_seconds: float = AGE_SECONDS) -> None:
        """`url` is connected to by `run`; a lost connection is made again."""
        self._url = url
        self._age_seconds = age_seconds
        self._failure: str | None = None
        self._errors = 0

    @property
    def failure(self) -> str | None:
        """What keeps the chain from moving; None when all is well."""
        return self._failure

    def run(self, stop: threading.Event) -> None:
        """Close blocks as they fall due until `stop` is set; returns once one in hand is closed.

        Raises nothing. What stops the chain is written down for readiness to show, and tried again
        after 1, 2, 4 … 60 s; a lost connection is made again, with waits of up to 5 s.
        """
        while not stop.is_set():
            limit_seconds = RETRY_SECONDS_MAX
            try:
                self._follow(stop)
            except psycopg.OperationalError as error:
                metrics.LOST_CONNECTIONS.inc()
                limit_seconds = RECONNECT_SECONDS_MAX
                self._note_error(f"database out of reach: {type(error).__name__}")
            except Exception as error:  # noqa: BLE001 - whatever it is, the views go on beside us
                self._note_error(_problem(error), exc_info=error)
            if self._errors:
                stop.wait(min(POLL_SECONDS * 2 ** min(self._errors - 1, 10), limit_seconds))

    def _note_error(self, failure: str, exc_info: BaseException | None = None) -> None:
        self._errors += 1
        self._failure = failure
        log = _log.error if exc_info else _log.warning
        log("chain interrupted", failure=failure, errors=self._errors, exc_info=exc_info)

    def _follow(self, stop: threading.Event) -> None:
        with psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS_MAX,
            tcp_user_timeout=10_000,
            application_name="mintage chainer",
        ) as connection:
            for option in _OPTIONS:
                connection.execute(option)
            while not stop.is_set():
                moved = self._advance(connection)
                self._errors, self._failure = 0, None
                if moved < BLOCK_MAX:
                    stop.wait(POLL_SECONDS)

    def _advance(self, connection: psycopg.Connection[Any]) -> int:
        started = time.perf_counter()
        try:
            moved = advance(connection, age_seconds=self._age_seconds, rest_seconds=REST_SECONDS)
        except _ROW_ERRORS as error:
            metrics.FAILURES.inc()
            failing.record(connection, chain_end(connection).position, _problem(error))
            raise
        if moved:
            metrics.EVENTS.inc(moved)
            metrics.BLOCK_SECONDS.observe(time.perf_counter() - started)
        return moved


def _problem(error: Exception) -> str:
    if isinstance(error, psycopg.Error):
        return sentence(error)
    return str(error) if isinstance(error, ChainError) else type(error).__name__
