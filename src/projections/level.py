"""Reading after an acknowledged write: never from a view that is behind it."""

import time
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from projections.errors import ViewsBehindError
from projections.projector import advance
from projections.views import VIEWS

GRACE_SECONDS = 0.05
"""How long a running projector is waited for before we fold ourselves."""

_LAG = b"""
SELECT coalesce((SELECT position FROM ledger_events ORDER BY position DESC LIMIT 1), 0)
    - coalesce((SELECT min(position) FROM view_positions), 0)"""


def ensure_level(
    pool: ConnectionPool[Any],
    account_id: str,
    *,
    views: tuple[str, ...] = tuple(view.name for view in VIEWS),
    timeout_seconds: float = 5.0,
) -> None:
    """Return once `views` hold every event of the account that was committed before the call.

    Waits briefly for a projector, then folds itself. Raises `ViewsBehindError` after
    `timeout_seconds`, or at once where a view has stopped and is not due to be tried again.
    """
    raise NotImplementedError


def lag(connection: psycopg.Connection[Any]) -> int:
    """Count the events that the view furthest behind has not folded yet."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_LAG).fetchone()
    return int(row[0]) if row else 0
