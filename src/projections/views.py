"""The views: what they are called, which facts they know, and the SQL that folds a range.

A fold is one statement over `ledger_facts` at positions in (after, upto], whatever the range: what
it reads, then what it writes into each view that is folded from the same. The tables' names are
placeholders, so that a rebuild can fill other tables by the same statement.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from projections.errors import UnknownFactError

_SQL = Path(__file__).parent / "sql"
# Where the statistics are old, nested loops over a long range never end; the look-ups that a fold
# needs are subqueries, which this leaves alone. A merge would sort wide rows.
_HASHED = b"SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off"
_TOPIC = b"SELECT topic FROM ledger_facts WHERE position = %s"

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
    """A table that a fold of the log fills, by what `writing` makes of what `reading` reads.

    Both are CTEs: `reading` takes `after`, `upto` and `topics`, and names the first `unknown`
    position; `writing` takes the name of each view's table. `any_order` says that ranges may be
    folded in any order, and beside each other.
    """

    name: str
    reading: str
    writing: str
    any_order: bool
    topics: tuple[str, ...] = TOPICS

    @property
    def upserts(self) -> bool:
        """Whether a fold meets rows of other ranges: it needs the table's key from the start."""
        return "ON CONFLICT" in self.writing

    def fold(
        self, connection: psycopg.Connection[Any], after: int, upto: int, table: str | None = None
    ) -> None:
        """Fold this view alone, by default into its own table."""
        fold(connection, (self,), after, upto, {self.name: table or self.name})


def fold(
    connection: psycopg.Connection[Any],
    views: Sequence[View],
    after: int,
    upto: int,
    tables: Mapping[str, str],
) -> None:
    """Fold the facts at positions in (after, upto] into the `tables` of views that read the same.

    The caller holds the transaction, and moves the position in it. Raises `UnknownFactError` where
    one of the views does not know a fact: the transaction is to be rolled back.
    """
    connection.execute(_HASHED)
    text = ",\n".join((views[0].reading, *(view.writing for view in views)))
    names = {view.name: sql.Identifier(tables[view.name]) for view in views}
    query = sql.SQL(f"WITH {text}\nSELECT position FROM unknown").format(**names)
    known = [topic for topic in TOPICS if all(topic in view.topics for view in views)]
    parameters = {"after": after, "upto": upto, "topics": known}
    # Not prepared: a plan for any range would scan the whole log for a short one.
    with connection.cursor(row_factory=tuple_row) as cursor:
        unknown = cursor.execute(query, parameters, prepare=False).fetchone()
        if unknown is not None and unknown[0] is not None:
            ((topic,),) = cursor.execute(_TOPIC, unknown).fetchall()
            blind = next(view.name for view in views if topic not in view.topics)
            raise UnknownFactError(blind, unknown[0], topic)


def _view(name: str, reading: str, *, any_order: bool) -> View:
    return View(name, _text(reading), _text(name), any_order)


def _text(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8").rstrip()


VIEWS = (
    _view("balances", "numbers", any_order=False),
    _view("transactions", "facts", any_order=True),
    _view("generations", "facts", any_order=True),
    _view("images", "facts", any_order=True),
)
"""Every view, in the order in which they are locked and folded."""

VIEW_NAMES = tuple(view.name for view in VIEWS)
