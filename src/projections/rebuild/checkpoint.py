"""Which ranges of the log are in the shadow tables: rows and checkpoint are one transaction."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.types.multirange import Multirange

from projections.advance import FOLD_ERRORS, problem_of
from projections.errors import RebuildInterruptedError, RebuildStoppedError
from projections.rebuild import shadow
from projections.views import View, fold

# Last in its transaction: whoever fills another range of the same view waits for no longer.
_MOVE = b"""
UPDATE view_rebuilds SET filled = filled + int8multirange(int8range(%(after)s, %(upto)s, '(]'))
WHERE view = %(view)s AND NOT filled && int8range(%(after)s, %(upto)s, '(]')"""
_IS_IN = b"""
SELECT view FROM view_rebuilds
WHERE view = ANY (%(views)s) AND filled && int8range(%(after)s, %(upto)s, '(]')"""
_BEGIN = b"INSERT INTO view_rebuilds (view, fingerprint) VALUES (%s, %s)"
_FINGERPRINT = b"SELECT fingerprint FROM view_rebuilds WHERE view = %s"
_FILLED = b"SELECT view, filled FROM view_rebuilds"


class Filled:
    """The positions that a shadow holds."""

    def __init__(self, ranges: Multirange[int]) -> None:
        """`ranges` as the server writes them: the lower bound is in, the upper one is not."""
        self._ranges = [(each.lower or 0, each.upper or 0) for each in ranges]

    @property
    def events(self) -> int:
        """How many they are."""
        return sum(upper - lower for lower, upper in self._ranges)

    @property
    def position(self) -> int:
        """Up to where nothing is missing."""
        return next((upper - 1 for lower, upper in self._ranges if lower <= 1), 0)

    @property
    def edges(self) -> set[int]:
        """Positions at which what is filled begins or ends."""
        return {position - 1 for each in self._ranges for position in each}

    def holds(self, upto: int) -> bool:
        """Whether the fact at `upto` is in."""
        return any(lower <= upto < upper for lower, upper in self._ranges)


def begin(connection: psycopg.Connection[Any], view: View, *, restart: bool) -> int:
    """Make the shadow, or find the one of an interrupted rebuild; returns how many events it has.

    One that another version of the fold has filled, or of the live table, is made anew.
    """
    with connection.transaction():
        found = filled(connection).get(view.name)
        if found is not None and not restart and is_current(connection, view):
            return found.events
        forget(connection, view)
        shadow.make(connection, view)
        connection.execute(_BEGIN, (view.name, shadow.fingerprint(connection, view)))
        return 0


def is_current(connection: psycopg.Connection[Any], view: View) -> bool:
    """Whether the shadow was made for the fold and the live table as they are now."""
    row = connection.execute(_FINGERPRINT, (view.name,)).fetchone()
    return row == (shadow.fingerprint(connection, view),)


def filled(connection: psycopg.Connection[Any]) -> dict[str, Filled]:
    """What each shadow holds."""
    rows: list[tuple[str, Multirange[int]]] = connection.execute(_FILLED).fetchall()
    return {view: Filled(ranges) for view, ranges in rows}


def forget(connection: psycopg.Connection[Any], view: View) -> None:
    """There is no shadow any more."""
    connection.execute(b"DELETE FROM view_rebuilds WHERE view = %s", (view.name,))


def fill(connection: psycopg.Connection[Any], views: Sequence[View], after: int, upto: int) -> None:
    """Fold (after, upto] into the shadows of views that read the same.

    Raises `RebuildInterruptedError` where some of it is in already, `RebuildStoppedError` where it
    cannot be folded.
    """
    tables = {view.name: shadow.shadow_name(view) for view in views}
    try:
        with connection.transaction():
            asked = {"views": list(tables), "after": after, "upto": upto}
            for (name,) in connection.execute(_IS_IN, asked).fetchall():
                raise _filled_by_another(name)
            fold(connection, views, after, upto, tables)
            for name in tables:
                if connection.execute(_MOVE, asked | {"view": name}).rowcount != 1:
                    raise _filled_by_another(name)
    except FOLD_ERRORS as error:
        name = getattr(error, "view", ", ".join(tables))
        at = getattr(error, "position", after)
        raise RebuildStoppedError(name, at, problem_of(error)) from error


def _filled_by_another(name: str) -> RebuildInterruptedError:
    return RebuildInterruptedError(f"another process has filled {name} meanwhile")
