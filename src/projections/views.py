"""The views: what they are called, which facts they know, and the SQL that folds a range.

A fold is a few statements over `ledger_facts` at positions in (after, upto], whatever the range;
the table's name is a placeholder, so that a rebuild can fill another table by the same ones.
"""

from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from projections.errors import UnknownFactError

_SQL = Path(__file__).parent / "sql"
# Where the statistics are old, nested loops over a long range never end. The look-ups that a fold
# needs are subqueries, which this leaves alone.
_NO_LOOPS = b"SET LOCAL enable_nestloop = off"
_UNKNOWN = b"""
SELECT position, topic FROM ledger_facts
WHERE position > %s AND position <= %s AND topic <> ALL (%s)
ORDER BY position LIMIT 1"""

TOPICS = (
    "generation_requested:1",
    "tokens_consumed:1",
    "generation_failed:1",
    "tokens_granted:1",
    "tokens_revoked:1",
    "account_opened:1",
    "membership_changed:1",
)
"""What the statements were written for, most frequent first, since each is compared in turn.

Written out: a new fact must be thought of here.
"""


class View(msgspec.Struct, frozen=True):
    """A table that a fold of the log fills; `statements` take `{table}`, `after` and `upto`."""

    name: str
    statements: tuple[str, ...]
    topics: tuple[str, ...] = TOPICS

    @property
    def upserts(self) -> bool:
        """Whether a fold meets rows of earlier ranges: it needs the table's key from the start."""
        return any("ON CONFLICT" in statement for statement in self.statements)

    def check(self, connection: psycopg.Connection[Any], after: int, upto: int) -> None:
        """Raise `UnknownFactError` where a fact at a position in (after, upto] is not known."""
        with connection.cursor(row_factory=tuple_row) as cursor:
            unknown = cursor.execute(_UNKNOWN, (after, upto, list(self.topics)), prepare=False)
            if found := unknown.fetchone():
                raise UnknownFactError(self.name, *found)

    def fold(
        self, connection: psycopg.Connection[Any], after: int, upto: int, table: str | None = None
    ) -> None:
        """Fold the facts at positions in (after, upto] into `table`, by default the view's own.

        The caller holds the transaction, moves the position in it, and has let the range be
        checked.
        """
        connection.execute(_NO_LOOPS)
        name = sql.Identifier(table or self.name)
        for statement in self.statements:
            query = sql.SQL(statement).format(table=name)
            # Not prepared: a plan for any range would scan the whole log for a short one.
            connection.execute(query, {"after": after, "upto": upto}, prepare=False)


def _view(name: str) -> View:
    text = (_SQL / f"{name}.sql").read_text(encoding="utf-8")
    return View(name, tuple(part for part in text.split(";\n") if part.strip()))


VIEWS = tuple(_view(name) for name in ("balances", "transactions", "generations", "images"))
"""Every view, in the order in which they are locked and folded."""

VIEW_NAMES = tuple(view.name for view in VIEWS)
