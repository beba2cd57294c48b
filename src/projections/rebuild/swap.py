"""Putting filled tables in their views' place, in one transaction that readers hardly notice.

Positions are locked before tables, in the order of `VIEWS`, as `advance` does, so that nobody can
deadlock. A reader that waited for a table finds its name again once it may go on, and reads the
new one; one that reads long is not waited for: everybody else would queue behind us.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from projections import failures
from projections.advance import CHANNEL
from projections.errors import RebuildInterruptedError
from projections.rebuild import checkpoint, shadow
from projections.views import View

LOCK_MILLISECONDS_MAX = 100
"""How long one try may make readers wait for the locks."""

VACUUM_MILLISECONDS_MAX = 1_500
"""The same where only a vacuum is in the way: it gives way to whoever has waited for a second."""

_READ = b"SELECT position FROM view_positions WHERE view = %s"
_MOVE = b"UPDATE view_positions SET position = %s WHERE view = %s AND position = %s"
_HOLDERS = b"""
SELECT l.pid, bool_and(l.mode = 'ShareUpdateExclusiveLock') FROM pg_locks AS l
WHERE l.relation = ANY (%s::regclass[]) AND l.pid <> pg_backend_pid() AND l.granted
GROUP BY l.pid ORDER BY l.pid"""


def try_swap(
    connection: psycopg.Connection[Any],
    views: Sequence[View],
    *,
    milliseconds_max: int = LOCK_MILLISECONDS_MAX,
) -> bool:
    """Replace the views' tables; False where somebody was in the way, and nothing has changed."""
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {milliseconds_max}".encode())
            for view in views:
                if not _move(connection, view):
                    raise psycopg.Rollback
            names = sql.SQL(", ").join(sql.Identifier(view.name) for view in views)
            # Of all locks together: the first ones are held while the last one is waited for.
            connection.execute(f"SET LOCAL statement_timeout = {milliseconds_max}".encode())
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names))
            connection.execute(b"SET LOCAL statement_timeout = 0")
            for view in views:
                if not checkpoint.is_current(connection, view):
                    raise RebuildInterruptedError(f"{view.name} was altered meanwhile")
                _replace(connection, view)
            connection.execute(f"NOTIFY {CHANNEL}".encode())
            return True
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        return False
    return False


def drop_replaced(connection: psycopg.Connection[Any], views: Sequence[View]) -> None:
    """Drop the tables that have been replaced; nobody can reach them by name any more."""
    for view in views:
        shadow.drop(connection, view)


def holders(connection: psycopg.Connection[Any], views: Sequence[View]) -> dict[int, bool]:
    """The server processes that hold a lock on one of the tables; True where it is a vacuum's."""
    return dict(connection.execute(_HOLDERS, ([view.name for view in views],)).fetchall())


def _move(connection: psycopg.Connection[Any], view: View) -> bool:
    """Bring the shadow to where the view is, and the view's position to where the shadow is."""
    (live,) = connection.execute(_READ, (view.name,)).fetchone() or (0,)
    filled = checkpoint.filled(connection)[view.name].position
    upto = max(live, filled)
    if connection.execute(_MOVE, (upto, view.name, live)).rowcount != 1:
        return False
    if filled < upto:
        checkpoint.fill(connection, [view], filled, upto)
    return True


def _replace(connection: psycopg.Connection[Any], view: View) -> None:
    indexes = shadow.indexes(connection, view)
    for number, index in enumerate(indexes):
        _rename(connection, "INDEX", index.name, f"{shadow.replaced_name(view)}_{number}")
    _rename(connection, "TABLE", view.name, shadow.replaced_name(view))
    _rename(connection, "TABLE", shadow.shadow_name(view), view.name)
    for index in indexes:
        _rename(connection, "INDEX", index.shadow_name, index.name)
    checkpoint.forget(connection, view)
    failures.clear(connection, view.name)


def _rename(connection: psycopg.Connection[Any], kind: str, old: str, new: str) -> None:
    statement = sql.SQL("ALTER {} {} RENAME TO {}")
    connection.execute(statement.format(sql.SQL(kind), sql.Identifier(old), sql.Identifier(new)))
