"""Why a balance is what it is: everything since the first grant, in a few numbers and lines."""

from datetime import datetime
from typing import Any

import msgspec
import psycopg

from projections.audit.balances import Standing, standing_at
from projections.audit.holds import Holds, holds_at
from projections.audit.lines import Line
from projections.audit.timeline import movements, timeline
from projections.audit.totals import Totals, totals_of

MOVEMENTS_MAX = 10


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers, and all that happened, added up."""

    standing: Standing
    opened_at: datetime
    totals: Totals

    @property
    def adds_up(self) -> bool:
        """Whether the facts lead to the very numbers that the last one carries.

        They do, unless the log was tampered with, or has facts that are not known here.
        """
        numbers = (self.standing.settled, self.standing.held)
        return (self.totals.settled, self.totals.held) == numbers


class Explanation(Summary, frozen=True, kw_only=True):
    """The summary, with what is held now and what came last: the newest first."""

    holds: Holds
    movements: tuple[Line, ...]


def summarize(
    connection: psycopg.Connection[Any],
    account_id: str,
    *,
    at: datetime | None = None,
    position: int | None = None,
) -> Summary:
    """The account as of a time, a position or now. Raises what `standing_at` does.

    Reads its stream once, adding up; however long it is, what comes back is short.
    """
    standing = standing_at(connection, account_id, at=at, position=position)
    (first,) = timeline(connection, account_id, before=2, limit=1)
    totals = totals_of(connection, account_id, standing.version)
    return Summary(standing=standing, opened_at=first.at, totals=totals)


def explain(
    connection: psycopg.Connection[Any],
    account_id: str,
    *,
    at: datetime | None = None,
    position: int | None = None,
    movements_max: int = MOVEMENTS_MAX,
) -> Explanation:
    """Why the balance is what it is, or was. Raises what `standing_at` does."""
    summary = summarize(connection, account_id, at=at, position=position)
    last = summary.standing.version
    return Explanation(
        standing=summary.standing,
        opened_at=summary.opened_at,
        totals=summary.totals,
        holds=holds_at(connection, summary.standing),
        movements=tuple(movements(connection, account_id, version=last, limit=movements_max)),
    )
