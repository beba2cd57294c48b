"""From a filter to a walk: the index that is followed, from where to where.

No walk looks at more than it answers, but for those in windows: no index knows the two facts of
every generation by type or actor (each append would pay for it), so of these a walk looks at so
many places at a time, and a page of it may be short, or empty, and yet not be the last.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg

from ledger.identity import ending_id, refund_id
from ledger.log import select_head
from projections.audit.places import last_before, last_version, version_at
from projections.audit.types import COMMON, EventType, kind_of

PLACE_MAX = 2**63 - 1

_KIND = "split_part(topic, ':', 1)"
# OFFSET 0 keeps the planner from looking for them by position.
_OF_GENERATION = """(
    SELECT * FROM ledger_events WHERE fact_id = ANY (%(fact_ids)s) OFFSET 0) AS ledger_events"""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events: all that stand here must hold.

    `since` is the first time that counts, `until` the first that does not; `after` and `before`
    are positions that do not count themselves.
    """

    account: str | None = None
    type: EventType | None = None
    generation: UUID | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    before: int | None = None


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """Places in (low, high], in the log's order or, of one account, in that of its versions.

    `where` is what else must hold, in SQL, with its `values`, of the rows of `source`. `is_exact`:
    an index knows it all.
    """

    by: Literal["position", "version"]
    low: int
    high: int
    where: str
    values: dict[str, Any]
    is_exact: bool
    source: str = "ledger_events"

    @property
    def is_whole(self) -> bool:
        """Whether every place is an event of the answer; neither order has gaps."""
        return not self.where or set(self.values) == {"account_id"}

    @property
    def is_of_few(self) -> bool:
        """Whether it is about one generation."""
        return "fact_ids" in self.values


def walk(connection: psycopg.Connection[Any], asked: Filter, *, upto: int | None = None) -> Walk:
    """The walk for a filter, `upto` a position if it is given.

    Without that, one whose end need not be known goes on to whatever comes.
    """
    low = max(asked.after or 0, last_before(connection, asked.since) if asked.since else 0)
    ends = [PLACE_MAX if upto is None else upto]
    if asked.before is not None:
        ends.append(asked.before - 1)
    if asked.until is not None:
        ends.append(last_before(connection, asked.until))
    high = max(min(ends), 0)
    by: Literal["position", "version"] = "position"
    is_exact = _is_exact(asked)
    if asked.generation is None and asked.account is not None:
        by = "version"
        low = version_at(connection, asked.account, low) if low else 0
        if high < PLACE_MAX:
            high = version_at(connection, asked.account, high)
        elif not is_exact:
            high = last_version(connection, asked.account)
    elif not is_exact:
        high = min(high, select_head(connection))
    where, values = _conditions(asked)
    made = Walk(by=by, low=low, high=high, where=where, values=values, is_exact=is_exact)
    return made if asked.generation is None else _of_generation(made, asked.generation)


def _of_generation(made: Walk, generation: UUID) -> Walk:
    ids = [generation, ending_id(generation), refund_id(generation)]
    return msgspec.structs.replace(
        made, source=_OF_GENERATION, values={**made.values, "fact_ids": ids}
    )


def _is_exact(asked: Filter) -> bool:
    if asked.generation is not None:
        return True  # three ids
    if asked.type is None:
        return asked.actor is None
    return kind_of(asked.type) not in COMMON and None in {asked.account, asked.actor}


def _conditions(asked: Filter) -> tuple[str, dict[str, Any]]:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if asked.generation is not None:
        # An id is not enough: another fact's may be the same, but for its version.
        conditions.append("data->>'generation_id' = %(generation)s")
        values["generation"] = str(asked.generation)
    if asked.account is not None:
        conditions.append("account_id = %(account_id)s")
        values["account_id"] = asked.account
    if asked.type is not None:
        # Written out, so that the planner sees that a partial index has it: one of our own words.
        conditions.append(f"{_KIND} = '{kind_of(asked.type)}'")
        values["kind"] = kind_of(asked.type)
    if asked.actor is not None:
        conditions.append("actor = %(actor)s")
        values["actor"] = asked.actor
    return " AND ".join(conditions), values
