"""The projector: keeps the views level with the log, woken by NOTIFY and by the clock."""

import threading
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from ledger.log import CHANNEL as EVENTS_CHANNEL
from projections import metrics
from projections.advance import CHANNEL, advance
from projections.failures import failures
from projections.views import VIEWS, View

__all__ = ["CHANNEL", "Projector", "advance"]

POLL_SECONDS = 1.0
"""A wake-up may be lost: the log is looked at this often in any case."""

RECONNECT_SECONDS_MAX = 5.0
CONNECT_SECONDS_MAX = 3
_STOP_SECONDS = 0.25
_RECONNECT_SECONDS = 0.1
_OPTIONS = (
    # Longer than any range takes, shorter than anyone would wait before looking.
    b"SET statement_timeout = '60s'",
    b"SET idle_in_transaction_session_timeout = '60s'",
    f"LISTEN {EVENTS_CHANNEL}".encode(),
)

_log = structlog.get_logger("projections.projector")


class Projector:
    """Runs in a thread or a process of its own; several at once share the work harmlessly."""

    def __init__(self, url: str, *, views: Sequence[View] = VIEWS) -> None:
        """`url` is connected to by `run`; a lost connection is made again."""
        self._url = url
        self._views = views
        self._failure: str | None = None
        self._errors = 0

    @property
    def failure(self) -> str | None:
        """What keeps the views, or one of them, from moving; None when all is well."""
        return self._failure

    def run(self, stop: threading.Event) -> None:
        """Keep the views level until `stop` is set; returns within about a second of that.

        Raises nothing: a lost connection is made again, with waits of up to 5 s; a view that fails
        is tried again as `failures` says, while the others move on.
        """
        while not stop.is_set():
            try:
                self._follow(stop)
            except psycopg.OperationalError as error:
                metrics.LOST_CONNECTIONS.inc()
                self._note_error(f"database out of reach: {type(error).__name__}")
            except Exception as error:  # noqa: BLE001 - the service must not go on without its views
                self._note_error(f"failed: {type(error).__name__}", exc_info=error)
            if self._errors:
                wait_seconds = _RECONNECT_SECONDS * 2 ** min(self._errors - 1, 10)
                stop.wait(min(wait_seconds, RECONNECT_SECONDS_MAX))

    def _note_error(self, failure: str, exc_info: BaseException | None = None) -> None:
        self._errors += 1
        self._failure = failure
        log = _log.error if exc_info else _log.warning
        log("projector interrupted", failure=failure, errors=self._errors, exc_info=exc_info)

    def _follow(self, stop: threading.Event) -> None:
        with psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS_MAX,
            tcp_user_timeout=10_000,
            application_name="mintage projector",
        ) as connection:
            for option in _OPTIONS:
                connection.execute(option)
            while not stop.is_set():
                folded = advance(connection, views=self._views)
                self._errors = 0
                self._note_failures(connection)
                if not folded:
                    _wait(connection, stop)

    def _note_failures(self, connection: psycopg.Connection[Any]) -> None:
        found = failures(connection)
        failure = "; ".join(f"{each.view}: {each.problem}" for each in found) or None
        if self._failure and not failure:
            _log.info("projector moves again", after=self._failure)
        self._failure = failure


def _wait(connection: psycopg.Connection[Any], stop: threading.Event) -> None:
    """Until the log has grown, it is time to look in any case, or `stop` is set."""
    for _ in range(round(POLL_SECONDS / _STOP_SECONDS)):
        woken = list(connection.notifies(timeout=_STOP_SECONDS, stop_after=1))
        if woken or stop.is_set():
            return
