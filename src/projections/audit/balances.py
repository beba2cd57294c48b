"""An account's balance at a time or a position, from the log: a handful of index look-ups.

Each fact carries the settled and held after it, and positions and times grow with an account's
versions: the last fact as of either is found by halving, however long the stream. No index on
(account_id, position) or (account_id, at) is needed, nor any scan.
"""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import class_row

from projections.errors import AfterLogError, BeforeAccountError, UnknownAccountError

By = Literal["at", "position"]

_LAST = 2**63 - 1

# A missing version (which the log cannot have, but a forged one may) sends no step astray.
_FIND = """
WITH RECURSIVE edges AS (
    SELECT first.position AS first_position, first.at AS first_at,
           log.position AS log_position, greatest(log.at, clock_timestamp()) AS log_at,
           (SELECT version FROM ledger_events WHERE account_id = %(account_id)s
            ORDER BY version DESC LIMIT 1) AS version
    FROM (SELECT position, at FROM ledger_events WHERE account_id = %(account_id)s
          ORDER BY version LIMIT 1) AS first,
         (SELECT position, at FROM ledger_events ORDER BY position DESC LIMIT 1) AS log
), halving (low, high) AS (
    SELECT 0::bigint, version FROM edges
    UNION ALL
    SELECT CASE WHEN probe.place <= %(value)s THEN middle ELSE low END,
           CASE WHEN probe.place <= %(value)s THEN high ELSE middle - 1 END
    FROM halving
    CROSS JOIN LATERAL (SELECT (low + high + 1) / 2 AS middle) AS half
    CROSS JOIN LATERAL (
        SELECT {by} AS place FROM ledger_events
        WHERE account_id = %(account_id)s AND version >= middle
        ORDER BY version LIMIT 1
    ) AS probe
    WHERE low < high
)
SELECT first_position, first_at, log_position, log_at,
       found.version, found.position, found.at, found.settled, found.held,
       coalesce((
           SELECT (data ->> 'is_member')::boolean FROM ledger_facts
           WHERE account_id = %(account_id)s AND version <= found.version
               AND type = 'membership_changed'
           ORDER BY version DESC LIMIT 1
       ), (
           SELECT (data ->> 'is_member')::boolean FROM ledger_facts
           WHERE account_id = %(account_id)s AND version <= found.version
               AND type = 'account_opened'
           ORDER BY version DESC LIMIT 1
       ), false) AS is_member
FROM edges
JOIN halving ON low = high
LEFT JOIN LATERAL (
    SELECT version, position, at, settled, held FROM ledger_events
    WHERE account_id = %(account_id)s AND version <= low
    ORDER BY version DESC LIMIT 1
) AS found ON true"""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An account's numbers at a moment, and the fact that they stand on: its last one by then."""

    account_id: str
    version: int
    position: int
    at: datetime
    is_member: bool
    settled: int
    held: int

    @property
    def available(self) -> int:
        """Tokens that a new generation could have held."""
        return self.settled - self.held


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    first_position: int
    first_at: datetime
    log_position: int
    log_at: datetime
    version: int | None  # None, as all below it: the account has nothing that early
    position: int
    at: datetime
    settled: int
    held: int
    is_member: bool


def standing_at(
    connection: psycopg.Connection[Any],
    account_id: str,
    *,
    at: datetime | None = None,
    position: int | None = None,
) -> Standing:
    """The account as of a time or a position, both inclusive; without either, as it is now.

    Raises `UnknownAccountError`, `BeforeAccountError` before its first fact, and `AfterLogError`
    for a future time or a position that the log does not have. A fact stamped just now may still
    be on its way: only what is a moment old is certain to be answered the same again.
    """
    by: By = "position" if at is None else "at"
    given = position if at is None else at
    values = {"account_id": account_id, "value": _LAST if given is None else given}
    with connection.cursor(row_factory=class_row(_Found)) as cursor:
        statement = sql.SQL(_FIND).format(by=sql.Identifier(by))
        found = cursor.execute(statement, values, prepare=True).fetchone()
    if found is None:
        raise UnknownAccountError(account_id)
    if given is not None and _is_after(found, at, position):
        raise AfterLogError(by, found.log_position)
    if found.version is None:
        raise BeforeAccountError(by, found.first_position, found.first_at.astimezone(UTC))
    return Standing(
        account_id=account_id,
        version=found.version,
        position=found.position,
        at=found.at.astimezone(UTC),
        is_member=found.is_member,
        settled=found.settled,
        held=found.held,
    )


def _is_after(found: _Found, at: datetime | None, position: int | None) -> bool:
    if at is not None:
        return at > found.log_at
    return position is not None and position > found.log_position
