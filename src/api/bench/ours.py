"""Our ledger, through the group committer."""

from api.bench import work
from api.bench.callers import Run, Step, measure, run
from ledger import identity
from ledger.commands import (
    GrantTokens,
    OpenAccount,
    RequestGeneration,
    SettleGeneration,
    Submission,
)
from ledger.ledger import Ledger


class GroupCommitter:
    """Ours: durable, idempotent by key, refused when it cannot be paid."""

    name = "mintage"

    def __init__(self, url: str) -> None:
        self._ledger = Ledger(url)
        for account_id in work.account_ids():
            opened = OpenAccount(account_id=account_id, is_member=False, tokens=0)
            self._ledger.record(Submission(command=opened, actor="bench"))
            grant = GrantTokens(account_id=account_id, amount=work.TOKENS, reason="promo")
            self._ledger.record(Submission(command=grant, actor="bench"))

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Each request carries an idempotency key of its own, checked against the whole log."""

        def pair() -> tuple[Step, Step]:
            account_id, generation_id = pick(), identity.new_id()
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
            asked = Submission(command=request, actor="bench", key_id=key, input_hash=key)
            done = Submission(command=settle, actor="bench")
            return self._step(asked), self._step(done)

        return run(measure(pair, callers=callers, seconds=seconds))

    def _step(self, submission: Submission) -> Step:
        async def step() -> None:
            await self._ledger.record_async(submission)

        return step

    def close(self) -> None:
        """End the committer."""
        self._ledger.close()
