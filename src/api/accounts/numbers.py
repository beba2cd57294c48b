"""Accounts' tokens at one position of the log, for many at once."""

from collections.abc import Sequence

import msgspec

from api.connection import Connection
from api.problems.refusals import NotFoundError
from ledger import snapshots

_POSITIONS = """
SELECT e.account_id, e.position
FROM unnest(%s::text[], %s::bigint[]) AS a (account_id, version)
JOIN ledger_events AS e USING (account_id, version)"""


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
    accounts = snapshots.load(connection, list(dict.fromkeys(account_ids)))
    opened = [account for account in accounts.values() if account.is_open]
    # The place of the very event that the numbers follow from: it never changes.
    asked = ([a.account_id for a in opened], [a.version for a in opened])
    positions = dict(connection.execute(_POSITIONS, asked, prepare=True).fetchall())
    found = {
        account.account_id: Numbers(
            is_member=account.is_member,
            settled=account.settled,
            held=account.held,
            position=positions[account.account_id],
        )
        for account in opened
    }
    return [found.get(account_id) for account_id in account_ids]
