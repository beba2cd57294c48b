"""How far each shadow is: moved by compare-and-set, in the transaction that fills it."""

from typing import Any

import psycopg

from projections.advance import FOLD_ERRORS, problem_of
from projections.errors import RebuildInterruptedError, RebuildStoppedError
from projections.rebuild import shadow
from projections.views import View

_MOVE = b"UPDATE view_rebuilds SET position = %s WHERE view = %s AND position = %s"
_BEGIN = b"INSERT INTO view_rebuilds (view, position, fingerprint) VALUES (%s, 0, %s)"
_FINGERPRINT = b"SELECT fingerprint FROM view_rebuilds WHERE view = %s"
_POSITIONS = b"SELECT view, position FROM view_rebuilds"


def begin(connection: psycopg.Connection[Any], view: View, *, restart: bool) -> int:
    """Make the shadow, or find the one of an interrupted rebuild; returns where it stands.

    One that another version of the fold has filled, or of the live table, is made anew.
    """
    with connection.transaction():
        found = positions(connection).get(view.name)
        if found is not None and not restart and is_current(connection, view):
            return found
        forget(connection, view)
        shadow.make(connection, view)
        connection.execute(_BEGIN, (view.name, shadow.fingerprint(connection, view)))
        return 0


def is_current(connection: psycopg.Connection[Any], view: View) -> bool:
    """Whether the shadow was made for the fold and the live table as they are now."""
    row = connection.execute(_FINGERPRINT, (view.name,)).fetchone()
    return row == (shadow.fingerprint(connection, view),)


def positions(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Where each shadow stands."""
    return dict(connection.execute(_POSITIONS).fetchall())


def forget(connection: psycopg.Connection[Any], view: View) -> None:
    """There is no shadow any more."""
    connection.execute(b"DELETE FROM view_rebuilds WHERE view = %s", (view.name,))


def fill(
    connection: psycopg.Connection[Any],
    view: View,
    after: int,
    upto: int,
    *,
    is_checked: bool = False,
) -> None:
    """Fold (after, upto] into the shadow: rows and checkpoint in one transaction.

    `is_checked` says that the view knows every fact of the range.
    """
    try:
        with connection.transaction():
            if connection.execute(_MOVE, (upto, view.name, after)).rowcount != 1:
                raise RebuildInterruptedError(f"another process has filled {view.name} meanwhile")
            if not is_checked:
                view.check(connection, after, upto)
            view.fold(connection, after, upto, shadow.shadow_name(view))
    except FOLD_ERRORS as error:
        at = getattr(error, "position", after)
        raise RebuildStoppedError(view.name, at, problem_of(error)) from error
