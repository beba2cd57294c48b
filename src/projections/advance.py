"""Moving the views one range along the log: rows and position in one transaction.

Whoever moves a view first moves its position by compare-and-set. That takes the row's lock, so a
second process waits for the first, then finds the position gone and leaves the range alone.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
import structlog
from psycopg.rows import class_row

from ledger.driver import sentence
from projections import failures, metrics
from projections.errors import UnknownFactError
from projections.views import VIEWS, View

CHANNEL = "mintage_views"
"""NOTIFY channel that tells that views have moved; its payload is empty."""

LIMIT = 10_000
"""The most positions by which one call moves a view."""

_STANDING = b"""
SELECT p.view, p.position, f.view IS NOT NULL AS has_failed,
       coalesce(f.retry_at > clock_timestamp(), false) AS waits,
       coalesce((SELECT position FROM ledger_events ORDER BY position DESC LIMIT 1), 0) AS head
FROM view_positions AS p LEFT JOIN view_failures AS f USING (view)"""
_MOVE = b"UPDATE view_positions SET position = %s WHERE view = %s AND position = %s"
_NOTIFY = f"NOTIFY {CHANNEL}"

# Any other database error says that the connection or the moment was bad, not the facts.
FOLD_ERRORS = (
    UnknownFactError,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
    psycopg.ProgrammingError,
)

_log = structlog.get_logger("projections.advance")


class _Standing(msgspec.Struct, frozen=True):
    view: str
    position: int
    has_failed: bool
    waits: bool
    head: int


def advance(
    connection: psycopg.Connection[Any], *, limit: int = LIMIT, views: Sequence[View] = VIEWS
) -> int:
    """Move every view at most `limit` positions towards the log's end, in one transaction.

    Returns by how many events the view that moved furthest did; 0 says that nothing was left for
    this process. A view whose fold fails is written down, stays where it is and stops no other;
    it is left alone until it is due to be tried again. Any process may call this at any time.
    """
    started = time.perf_counter()
    moved = {}
    with connection.transaction():
        with connection.cursor(row_factory=class_row(_Standing)) as cursor:
            standing = {each.view: each for each in cursor.execute(_STANDING)}
        for view in views:
            at = standing[view.name]
            upto = min(at.head, at.position + limit)
            if at.position < upto and not at.waits:
                moved[view.name] = _try_move(connection, view, at, upto)
        if any(moved.values()):
            connection.execute(_NOTIFY.encode())
    for name, events in moved.items():
        metrics.EVENTS.labels(name).inc(events)
    if moved:
        metrics.ADVANCE_SECONDS.observe(time.perf_counter() - started)
    return max(moved.values(), default=0)


def _try_move(connection: psycopg.Connection[Any], view: View, at: _Standing, upto: int) -> int:
    try:
        return _move(connection, view, at, upto)
    except FOLD_ERRORS as error:
        # What stands before an unknown fact is known: go there, and fail in front of it.
        if isinstance(error, UnknownFactError) and error.position - 1 > at.position:
            return _try_move(connection, view, at, error.position - 1)
        problem = problem_of(error)
    _log.error("view stopped", view=view.name, position=at.position, problem=problem)
    metrics.FAILURES.labels(view.name).inc()
    failures.record(connection, view.name, at.position, problem)
    return 0


def _move(connection: psycopg.Connection[Any], view: View, at: _Standing, upto: int) -> int:
    with connection.transaction():
        if not _swap(connection, view.name, at.position, upto):
            return 0
        view.fold(connection, at.position, upto)
        if at.has_failed:
            failures.clear(connection, view.name)
    return upto - at.position


def _swap(connection: psycopg.Connection[Any], name: str, after: int, upto: int) -> bool:
    """Move the position if it is still at `after`; another process has moved it otherwise."""
    return connection.execute(_MOVE, (upto, name, after)).rowcount == 1


def problem_of(error: Exception) -> str:
    """What a fold met, in words that quote no row."""
    return sentence(error) if isinstance(error, psycopg.Error) else str(error)
