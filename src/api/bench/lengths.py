"""Spends of an account of so many events: by all callers at once, and by who has never seen it."""

import asyncio
import time
from contextlib import closing

from api.bench.callers import Run, Tally, run
from api.bench.ours import GroupCommitter

FIRST_TIMES = 10
"""How many processes' first spends are timed in a round."""
LONG_MIN = 10_000
"""From here on one account serves all rounds: what a round adds to it is little."""
TOGETHER = 256
OPENING = 2  # it is opened, and granted tokens


class Spender:
    """Accounts are made by the ledger itself, a spend after another."""

    def __init__(self, url: str, callers: int, seconds: float) -> None:
        self._url = url
        self._callers = callers
        self._seconds = seconds
        self._made: set[str] = set()

    def all(self, length: int, number: int) -> Run:
        """By all callers at once, from `length` events on."""
        account_id = self._account(f"all-{number}", length)
        with closing(GroupCommitter(self._url)) as ours:
            return ours.measure(lambda: account_id, callers=self._callers, seconds=self._seconds)

    def first(self, length: int, number: int) -> Run:
        """By ledgers that are opened for it, one after another, connected and warm otherwise."""
        account_id = self._account(f"first-{number}", length)
        other = self._account("other", 4)
        spent = []
        for _ in range(FIRST_TIMES):
            with closing(GroupCommitter(self._url)) as ours:
                for submission in ours.pair(other):
                    ours.ledger.record(submission)
                request, settle = ours.pair(account_id)
                began = time.perf_counter()
                ours.ledger.record(request)
                spent.append(time.perf_counter() - began)
                ours.ledger.record(settle)
        return Run.of([Tally(spent, sum(spent))])

    def _account(self, name: str, length: int) -> str:
        """An account of that many events; a short one is made for each `name`."""
        account_id = f"length-{length}-{name if length < LONG_MIN else 'long'}"
        if account_id not in self._made:
            self._made.add(account_id)
            with closing(GroupCommitter(self._url)) as ours:
                ours.open([account_id])
                run(_lengthen(ours, account_id, length - OPENING))
        return account_id


async def _lengthen(ours: GroupCommitter, account_id: str, events: int) -> None:
    left = iter(range(events // 2))

    async def spend() -> None:
        for _ in left:
            for submission in ours.pair(account_id):
                await ours.ledger.record_async(submission)

    await asyncio.gather(*(spend() for _ in range(TOGETHER)))
