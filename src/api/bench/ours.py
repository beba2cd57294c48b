"""Our ledger, through the group committer."""

import asyncio
from collections.abc import Iterable

from api.bench import work
from api.bench.callers import Run, Step, Tally, run, tally
from ledger import identity
from ledger.commands import (
    Command,
    GrantTokens,
    OpenAccount,
    RequestGeneration,
    SettleGeneration,
    Submission,
)
from ledger.errors import LedgerError
from ledger.ledger import Ledger


class GroupCommitter:
    """Ours: durable, idempotent by key, refused when it cannot be paid."""

    def __init__(self, url: str, *, shares_writer: bool = False) -> None:
        self.ledger = Ledger(url, shares_writer=shares_writer)

    def open(self, account_ids: Iterable[str]) -> None:
        """Open accounts that can pay for all that will be asked of them."""
        wanted = list(account_ids)
        self._record(OpenAccount(account_id=i, is_member=False, tokens=0) for i in wanted)
        self.grant(wanted)

    def grant(self, account_ids: Iterable[str]) -> None:
        """Let open accounts pay for all that will be asked of them."""
        self._record(
            GrantTokens(account_id=i, amount=work.TOKENS, reason="promo") for i in account_ids
        )

    def spend(self, account_ids: Iterable[str]) -> None:
        """Once from each, all at the same time: their accounts are in memory then."""

        async def once(account_id: str) -> None:
            for submission in self.pair(account_id):
                await self.ledger.record_async(submission)

        async def main() -> None:
            with self.ledger.on_loop():
                await asyncio.gather(*map(once, account_ids))

        run(main())

    def _record(self, commands: Iterable[Command]) -> None:
        async def main() -> None:
            submissions = (Submission(command=command, actor="bench") for command in commands)
            with self.ledger.on_loop():
                await asyncio.gather(*map(self.ledger.record_async, submissions))

        run(main())

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Each request carries an idempotency key of its own, checked against the whole log."""
        return Run.of([self.tally(pick, callers=callers, seconds=seconds)])

    def tally(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Tally:
        """The same, to be added to what other processes did; errors of callers are counted."""

        def pair() -> tuple[Step, Step]:
            asked, done = self.pair(pick())
            return self._step(asked), self._step(done)

        async def main() -> Tally:
            with self.ledger.on_loop():
                return await tally(pair, callers=callers, seconds=seconds, counted=(LedgerError,))

        return run(main())

    @staticmethod
    def pair(account_id: str) -> tuple[Submission, Submission]:
        """A request and its settlement."""
        generation_id = identity.new_id()
        key = identity.key_id(account_id, "generation", str(generation_id))
        request = RequestGeneration(
            account_id=account_id,
            generation_id=generation_id,
            prompt=work.PROMPT,
            members_only=False,
            count=1,
            aspect_ratio="1:1",
        )
        settle = SettleGeneration(
            account_id=account_id,
            generation_id=generation_id,
            images=(work.image(generation_id),),
        )
        return (
            Submission(command=request, actor="bench", key_id=key, input_hash=key),
            Submission(command=settle, actor="bench"),
        )

    def _step(self, submission: Submission) -> Step:
        async def step() -> None:
            await self.ledger.record_async(submission)

        return step

    def close(self) -> None:
        """End the committer."""
        self.ledger.close()


class Warmed(GroupCommitter):
    """The same, with each account in memory as it is now, whoever has written since."""

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """As any other, after that."""
        self.spend(work.account_ids())
        return super().measure(pick, callers=callers, seconds=seconds)
