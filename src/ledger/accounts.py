"""The committer's cache of accounts, and what it must read again under the lock.

An account is current as of the last batch that touched it, unless another process wrote since.
While this process writes alone, nothing is read at all; once the log's head has moved without us,
every tail of a batch is, until it is ours again. Then only those accounts that others have written
are still to be read, once: or all, where they were too many to tell.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec
import psycopg

from ledger import snapshots
from ledger.account import Account
from ledger.log import Head

CACHED_MAX = 100_000
"""Accounts, of half a kilobyte each; the collector passes over them."""

SNAPSHOT_EVERY = 500
SNAPSHOT_COLD_MIN = 32
"""A cold account costs its tail, a row here, a row there; the next to load it shall be spared."""
_NOWHERE = Head((-1, None))
_SUSPECT = -1


class _Cached(msgspec.Struct, frozen=True, gc=False):
    account: Account
    position: int  # the log's head when this was current; _SUSPECT where another has written since


class AccountCache:
    """Least recently used accounts fall out. For one thread.

    Whenever no other process is known to write, each account from `_suspect_before` on is as it is
    where the log ends at `head`. What is refused rests on that: it writes no row, and so meets no
    constraint.
    """

    def __init__(self) -> None:
        self._cached: OrderedDict[str, _Cached] = OrderedDict()
        self.head = _NOWHERE
        self._suspect_before = 0  # never falls, and is more than _SUSPECT
        self._alone = False

    def take(self, connection: psycopg.Connection[Any], names: Iterable[str]) -> dict[str, Account]:
        """The accounts, cold ones loaded; `suspects` says which are to be brought level."""
        taken = {}
        cold = []
        for name in names:
            if cached := self._cached.get(name):
                self._cached.move_to_end(name)
                taken[name] = cached.account
            else:
                cold.append(name)
        if cold:
            taken |= snapshots.load(connection, cold)
        return taken

    @property
    def alone(self) -> bool:
        """Whether, as far as is known, no other process writes: accounts may be current."""
        return self._alone

    def current(self, name: str) -> Account | None:
        """The account as of `head`, or None where it has to be read first."""
        cached = self._cached.get(name)
        if not self._alone or cached is None or cached.position < self._suspect_before:
            return None
        self._cached.move_to_end(name)
        return cached.account

    @property
    def known_to(self) -> int | None:
        """Up to where others' events are accounted for; None where nothing is kept."""
        return self.head.position if self._cached else None

    def suspects(self, accounts: dict[str, Account]) -> list[Account]:
        """Those that another process may have written, as far as is known before the lock."""
        if not self._alone:
            return list(accounts.values())
        return [
            account
            for name, account in accounts.items()
            if (cached := self._cached.get(name)) is None or cached.position < self._suspect_before
        ]

    def missed(
        self,
        head: int,
        accounts: dict[str, Account],
        suspected: Sequence[Account],
        written: AbstractSet[str] | None,
    ) -> list[Account]:
        """Take in that the log ends at `head`; returns whose tails are still to be read.

        Of `accounts` none of the `suspected`, whose were, and of the others those that another
        process has `written`; all, where that is None.
        """
        if head == self.head.position:
            self._alone = True
            return []
        self._alone = False
        if written is None:
            self._suspect_before, written = head, accounts.keys()
        else:
            for name in written & self._cached.keys():
                self._cached[name] = _Cached(self._cached[name].account, _SUSPECT)
        names = {account.account_id for account in suspected}
        return [a for name, a in accounts.items() if name in written and name not in names]

    def snapshots_due(self, accounts: dict[str, Account]) -> list[Account]:
        """Accounts that have crossed a multiple of `SNAPSHOT_EVERY` versions since cached.

        And those that were cold, once they have a tail worth saving.
        """
        return [account for account in accounts.values() if self._is_due(account)]

    def _is_due(self, account: Account) -> bool:
        cached = self._cached.get(account.account_id)
        if cached is None:
            return account.version >= SNAPSHOT_COLD_MIN
        return account.version // SNAPSHOT_EVERY > cached.account.version // SNAPSHOT_EVERY

    def put(self, accounts: dict[str, Account], *, head: Head) -> None:
        """Keep `accounts`, which are current where the log ends at `head`."""
        self.head = head
        for name, account in accounts.items():
            self._cached[name] = _Cached(account, head.position)
        while len(self._cached) > CACHED_MAX:
            self._cached.popitem(last=False)

    def restore(self, accounts: Mapping[str, Account], *, head: Head) -> None:
        """Go back to where the log ended at `head`: what was kept since is not in it.

        `accounts` are all that was kept since, as they were there.
        """
        for name, account in accounts.items():
            self._cached[name] = _Cached(account, head.position)
        self.head = head
        self._alone = False

    def drop(self, names: Iterable[str]) -> None:
        """Forget those: they are loaded when they are next taken."""
        for name in names:
            self._cached.pop(name, None)

    def forget(self) -> None:
        """Start cold: what was decided may not have been recorded, or more may have been."""
        self._cached.clear()
        self.head = _NOWHERE
        self._alone = False
