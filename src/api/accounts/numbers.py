"""Accounts' tokens at one position of the log, for many at once."""

from collections.abc import Sequence

import msgspec
from psycopg.rows import tuple_row

from api.connection import Connection
from api.problems.refusals import NotFoundError

# Each fact carries the numbers after it: the last one tells them. Only membership has its own.
_NUMBERS = """
SELECT asked.account_id, coalesce((
           SELECT (data ->> 'is_member')::boolean FROM ledger_facts AS f
           WHERE f.account_id = asked.account_id AND type = 'membership_changed'
           ORDER BY version DESC LIMIT 1
       ), (
           SELECT (data ->> 'is_member')::boolean FROM ledger_facts AS f
           WHERE f.account_id = asked.account_id AND version = 1
       ), false), last.settled, last.held, last.position
FROM unnest(%s::text[]) AS asked (account_id)
CROSS JOIN LATERAL (
    SELECT settled, held, position FROM ledger_events AS e
    WHERE e.account_id = asked.account_id ORDER BY version DESC LIMIT 1
) AS last"""


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """An account at one position; zeros where there is no account."""

    is_member: bool = False
    settled: int = 0
    held: int = 0
    position: int = 0

    @property
    def available(self) -> int:
        """Tokens that a new generation may hold."""
        return self.settled - self.held


def numbers_of(connection: Connection, account_id: str) -> Numbers:
    """The account now. Raises `NotFoundError`."""
    return known(numbers_of_all(connection, [account_id])[0])


def known(numbers: Numbers | None) -> Numbers:
    """What was found. Raises `NotFoundError` where nothing was."""
    if numbers is None:
        raise NotFoundError
    return numbers


def numbers_of_all(connection: Connection, account_ids: Sequence[str]) -> list[Numbers | None]:
    """The accounts now, in their order; None for one that is not open."""
    asked = list(dict.fromkeys(account_ids))
    with connection.cursor(row_factory=tuple_row) as cursor:
        found = {
            account_id: Numbers(is_member=is_member, settled=settled, held=held, position=position)
            for account_id, is_member, settled, held, position in cursor.execute(
                _NUMBERS, (asked,), prepare=True
            )
        }
    return [found.get(account_id) for account_id in account_ids]
