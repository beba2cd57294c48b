"""The ledger once more, as plainly as it can be said: what the real one is held to."""

from dataclasses import dataclass, field
from uuid import UUID


@dataclass
class Hold:
    cost: int
    ended: str = ""  # "", "consumed" or a reason
    refunded: bool = False


@dataclass
class PlainAccount:
    """Counts from the definitions, not by adding up: settled = granted − consumed − revoked."""

    is_member: bool = False
    granted: int = 0
    revoked: int = 0
    references: set[str] = field(default_factory=set)
    generations: dict[UUID, Hold] = field(default_factory=dict)
    facts: int = 1

    @property
    def consumed(self) -> int:
        return sum(g.cost for g in self.generations.values() if g.ended == "consumed")

    @property
    def settled(self) -> int:
        return self.granted - self.consumed - self.revoked

    @property
    def held(self) -> int:
        return sum(g.cost for g in self.generations.values() if not g.ended)

    @property
    def available(self) -> int:
        return self.settled - self.held

    def open_account(self, *, tokens: int, member: bool) -> None:
        self.is_member = member
        self.granted = tokens
        self.facts = 2 if tokens else 1

    def membership(self, *, member: bool) -> str:
        if self.is_member == member:
            return "nothing"
        self.is_member = member
        return self._done()

    def grant(self, amount: int, reference: str | None) -> str:
        if reference is not None and reference in self.references:
            return "ReferenceUsedError"
        if reference is not None:
            self.references.add(reference)
        self.granted += amount
        return self._done()

    def revoke(self, amount: int) -> str:
        if amount > self.available:
            return f"InsufficientTokensError {amount} {self.available}"
        self.revoked += amount
        return self._done()

    def request(
        self, generation_id: UUID, cost: int, *, members_only: bool, expected: int | None
    ) -> str:
        if generation_id in self.generations:
            return "replayed"
        if members_only and not self.is_member:
            return "MembershipRequiredError"
        if expected is not None and expected != cost:
            return f"PriceChangedError {cost}"
        if cost > self.available:
            return f"InsufficientTokensError {cost} {self.available}"
        self.generations[generation_id] = Hold(cost)
        return self._done()

    def end(self, generation_id: UUID, how: str) -> str:
        generation = self.generations.get(generation_id)
        if generation is None:
            return "GenerationNotFoundError"
        if generation.ended:
            return "replayed"
        generation.ended = how
        return self._done()

    def refund(self, generation_id: UUID) -> str:
        generation = self.generations[generation_id]
        if generation.refunded:
            return "AlreadyRefundedError"
        generation.refunded = True
        self.granted += generation.cost
        return self._done()

    def _done(self) -> str:
        self.facts += 1
        return "recorded"
