"""Reading after an acknowledged write: never from a view that is behind it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from projections.advance import advance
from projections.errors import ViewsBehindError
from projections.views import VIEW_NAMES

GRACE_SECONDS = 0.05
"""How long a projector is waited for before we fold ourselves."""

_WAIT_SECONDS_MIN = 0.002
_WAIT_SECONDS_MAX = 0.02

HEAD = """
SELECT coalesce((
    SELECT position FROM ledger_events WHERE account_id = {}
    ORDER BY version DESC LIMIT 1), 0)"""
"""The position of an account's last fact."""

# A view without a position would never be level.
_BEHIND = f"""
SELECT v.view, target.position, coalesce(f.retry_at > clock_timestamp(), false)
FROM unnest(%(views)s::text[]) AS v (view)
CROSS JOIN (
    SELECT coalesce(%(target)s::bigint, ({HEAD.format("%(account_id)s")})) AS position
) AS target
LEFT JOIN view_positions AS p USING (view)
LEFT JOIN view_failures AS f USING (view)
WHERE coalesce(p.position, 0) < target.position
ORDER BY v.view"""  # noqa: S608 - constants
_LAG = """
SELECT coalesce((SELECT position FROM ledger_events ORDER BY position DESC LIMIT 1), 0)
    - coalesce((SELECT min(position) FROM view_positions), 0)"""


@contextmanager
def at_level(
    pool: ConnectionPool[psycopg.Connection[Any]],
    account_id: str,
    *,
    timeout_seconds: float = 5.0,
    views: Sequence[str] = VIEW_NAMES,
) -> Iterator[psycopg.Connection[Any]]:
    """A connection, once `views` hold every event of the account committed before the call.

    Waits briefly for a projector, then folds itself. Raises `ViewsBehindError` after
    `timeout_seconds`, or at once where a view has stopped and is not due to be tried again.
    """
    started = time.monotonic()
    parameters = {"account_id": account_id, "views": list(views), "target": None}
    wait_seconds = _WAIT_SECONDS_MIN
    while True:
        waited_seconds = time.monotonic() - started
        folded = 0
        with pool.connection() as connection:
            behind = _rows(connection, _BEHIND, parameters)
            if not behind:
                yield connection
                return
            # The account may go on growing; the call promises what it has had before.
            parameters["target"] = behind[0][1]
            stopped = [view for view, _, waits in behind if waits]
            if stopped or waited_seconds > timeout_seconds:
                raise ViewsBehindError(stopped or [view for view, _, _ in behind])
            if waited_seconds > GRACE_SECONDS:
                folded = advance(connection)
        if not folded:
            time.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 2, _WAIT_SECONDS_MAX)


def lag(connection: psycopg.Connection[Any]) -> int:
    """Count the events that the view furthest behind has not folded yet."""
    return int(_rows(connection, _LAG, {})[0][0])


def _rows(
    connection: psycopg.Connection[Any], statement: str, parameters: dict[str, Any]
) -> list[tuple[Any, ...]]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(statement.encode(), parameters).fetchall()
