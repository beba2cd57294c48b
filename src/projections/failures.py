"""Views that have stopped: written down where every process sees it, readiness above all."""

from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row

RETRY_SECONDS_MAX = 60
"""A stopped view is tried again after 2, 4, 8 … seconds, and never less often than this."""

# Only where the view still stands there: another process may have moved it meanwhile.
_RECORD = f"""
INSERT INTO view_failures AS f (view, position, problem, failed_at, retry_at)
SELECT view, position, %(problem)s, clock_timestamp(), clock_timestamp() + interval '2 seconds'
FROM view_positions WHERE view = %(view)s AND position = %(position)s
ON CONFLICT (view) DO UPDATE
    SET position = EXCLUDED.position, problem = EXCLUDED.problem, attempts = f.attempts + 1,
        retry_at = clock_timestamp()
            + least({RETRY_SECONDS_MAX}, 2 ^ least(f.attempts + 1, 10)) * interval '1 second'
"""  # noqa: S608 - a constant
_CLEAR = b"DELETE FROM view_failures WHERE view = %s"
_FAILURES = b"SELECT view, position, problem, attempts, failed_at FROM view_failures ORDER BY view"


class ViewFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A view that stands still at `position` since `failed_at`, and what its fold met there."""

    view: str
    position: int
    problem: str
    attempts: int
    failed_at: datetime


def failures(connection: psycopg.Connection[Any]) -> list[ViewFailure]:
    """The views that have stopped, as any process has found; empty when all is well."""
    with connection.cursor(row_factory=class_row(ViewFailure)) as cursor:
        return cursor.execute(_FAILURES).fetchall()


def record(connection: psycopg.Connection[Any], view: str, position: int, problem: str) -> None:
    """Write down that `view` cannot move on from `position`, and when to try again."""
    values = {"view": view, "position": position, "problem": problem}
    connection.execute(_RECORD.encode(), values)


def clear(connection: psycopg.Connection[Any], view: str) -> None:
    """Forget a failure: the view has moved."""
    connection.execute(_CLEAR, (view,))
