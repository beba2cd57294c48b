"""An account's state and how each fact changes it."""

from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec

from ledger.errors import CorruptLogError
from ledger.facts import (
    AccountOpened,
    Fact,
    GenerationFailed,
    GenerationRequested,
    MembershipChanged,
    TokensConsumed,
    TokensGranted,
    TokensRevoked,
)

RATE_WINDOW_SECONDS = 60


# Neither is tracked by the collector: no cycle can lead through them, and there may be many.
class Pace(msgspec.Struct, frozen=True, gc=False):
    """Requests accepted in the current minute and in the one before it."""

    minute: int = 0
    count: int = 0
    previous: int = 0

    def at_minute(self, minute: int) -> "Pace":
        """The same pace as seen from `minute`, which is this one or a later one."""
        gone = minute - self.minute
        if gone <= 0:
            return self
        return Pace(minute, 0, self.count if gone == 1 else 0)


class Account(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What deciding needs, however long the stream: open holds only, ended ones are history.

    `settled` = granted − consumed − revoked; `held` = the cost of the open generations.
    """

    account_id: str
    version: int = 0
    is_open: bool = False
    is_member: bool = False
    settled: int = 0
    held: int = 0
    holds: dict[UUID, int] = {}
    pace: Pace = Pace()

    @property
    def available(self) -> int:
        """Tokens that a new request may hold; never below 0."""
        return self.settled - self.held


def evolve(account: Account, fact: Fact, at: datetime) -> Account:
    """The account after `fact`, recorded at `at`.

    Raises `CorruptLogError` where the fact cannot follow what stands before it.
    """
    settled, held, is_member = account.settled, account.held, account.is_member
    holds, pace = account.holds, account.pace
    if account.version == 0 and not isinstance(fact, AccountOpened):
        raise _corrupt(account, "was never opened")
    match fact:  # the most frequent first
        case GenerationRequested():
            holds = {**holds, fact.generation_id: fact.cost}
            if len(holds) == len(account.holds):
                raise _corrupt(account, "requested twice")
            held += _moved(account, fact.cost, minimum=0)
            pace = pace.at_minute(int(at.timestamp()) // RATE_WINDOW_SECONDS)
            pace = Pace(pace.minute, pace.count + 1, pace.previous)
        case TokensConsumed() | GenerationFailed():
            holds = holds.copy()
            if holds.pop(fact.generation_id, None) != fact.cost:
                raise _corrupt(account, "ends no hold")
            held -= fact.cost
            if isinstance(fact, TokensConsumed):
                settled -= fact.cost
        case TokensGranted():
            settled += _moved(account, fact.amount)
        case TokensRevoked():
            settled -= _moved(account, fact.amount)
        case MembershipChanged():
            is_member = fact.is_member
        case AccountOpened():
            if account.version != 0:
                raise _corrupt(account, "opened twice")
            is_member = fact.is_member
        case _:
            assert_never(fact)
    if not 0 <= held <= settled:
        raise _corrupt(account, "spends what it has not")
    return Account(
        account_id=account.account_id,
        version=account.version + 1,
        is_open=True,
        is_member=is_member,
        settled=settled,
        held=held,
        holds=holds,
        pace=pace,
    )


def _moved(account: Account, amount: int, *, minimum: int = 1) -> int:
    if amount < minimum:
        raise _corrupt(account, f"moves {amount}")
    return amount


def _corrupt(account: Account, problem: str) -> CorruptLogError:
    return CorruptLogError(account.account_id, account.version + 1, problem)
