"""One line of the log: a fact, where it stands, and the account's numbers after it."""

from datetime import datetime
from typing import Generic
from uuid import UUID

import msgspec
from typing_extensions import TypeVar

from ledger.facts import Fact

F_co = TypeVar("F_co", bound=Fact, default=Fact, covariant=True)


class Entry(msgspec.Struct, Generic[F_co], frozen=True, kw_only=True, array_like=True):
    """A recorded fact. `position` is its place in the one order of the log, from 1, without gaps.

    `version` is its place in the account's stream, from 1, without gaps. `settled` and `held`
    are the account's after it.
    """

    position: int
    account_id: str
    version: int
    at: datetime
    actor: str
    fact_id: UUID
    settled: int
    held: int
    fact: F_co
    key_id: UUID | None = None
    input_hash: UUID | None = None

    @property
    def originator_id(self) -> str:
        """The library's word for the account."""
        return self.account_id

    @property
    def originator_version(self) -> int:
        """The library's word for the version."""
        return self.version

    @property
    def available(self) -> int:
        """Tokens available after it."""
        return self.settled - self.held
