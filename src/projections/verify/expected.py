"""The rows that each view should have of one account, folded fact by fact in plain Python.

Nothing here is shared with the SQL that fills the views. A fact counts for a view only up to the
view's own position.
"""

from collections.abc import Mapping
from typing import assert_never
from uuid import UUID

import msgspec

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
from projections.verify.rows import NULL, escape

_GRANT_TYPES = {
    "welcome": "token_grant",
    "promo": "token_grant",
    "purchase": "token_purchase",
    "refund": "token_refund",
    "adjustment": "token_adjustment",
}
_OPEN = f"{NULL}\t{NULL}"
_json = msgspec.json.Encoder().encode


class Line(msgspec.Struct, frozen=True, gc=False):
    """A row of the log, but for its fact; the numbers stay text until someone needs more.

    `is_plain`: no text of the fact holds what COPY or JSON would escape.
    """

    account: str
    version: int
    position: int
    settled: str
    held: str
    is_plain: bool


class Asked(msgspec.Struct, gc=False):
    """A generation of the account: what its request said, and what has become of it."""

    id: str
    title: str
    cost: int
    is_charged: bool | None = None  # None while it is open


class Expected:
    """One account's rows, as lines in the order of the log."""

    def __init__(self, positions: Mapping[str, int]) -> None:
        """`positions`: how far each view that is asked about has followed the log."""
        self._balances = positions.get("balances", -1)
        self._transactions = positions.get("transactions", -1)
        self._generations = positions.get("generations", -1)
        self._images = positions.get("images", -1)
        self.asked: dict[UUID, Asked] = {}
        self._last: Line | None = None
        self._is_member = "f"
        self._lines: list[str] = []
        self._heads: dict[str, str] = {}
        self._ends: dict[str, str] = {}
        self._pictures: list[str] = []

    def lines(self, view: str) -> list[str]:
        """The rows that `view` should have."""
        match view:
            case "balances":
                return [self._balance(self._last)] if self._last else []
            case "transactions":
                return self._lines
            case "generations":
                ends = self._ends
                return [f"{head}\t{ends.get(i, _OPEN)}\n" for i, head in self._heads.items()]
            case "images":
                return self._pictures
            case _:
                raise KeyError(view)

    def take(self, line: Line, fact: Fact) -> None:
        """Fold one fact in."""
        if line.position <= self._balances:
            self._last = line
        match fact:
            case GenerationRequested():
                self._take_request(line, fact)
            case TokensConsumed():
                self._take_charge(line, fact)
            case GenerationFailed():
                self._take_failure(line, fact)
            case TokensGranted():
                self._transaction(line, _GRANT_TYPES[fact.reason], fact.amount)
            case TokensRevoked():
                self._transaction(line, "token_adjustment", -fact.amount)
            case AccountOpened() | MembershipChanged():
                if line.position <= self._balances:
                    self._is_member = "t" if fact.is_member else "f"
            case _:
                assert_never(fact)

    def _balance(self, line: Line) -> str:
        return (
            f"{line.account}\t{line.position}\t{line.version}\t{self._is_member}\t"
            f"{line.settled}\t{line.held}\n"
        )

    def _take_request(self, line: Line, fact: GenerationRequested) -> None:
        name, title = text_of(fact.generation_id), fact.prompt.title
        if not line.is_plain:
            title = escape(title)
        self.asked[fact.generation_id] = Asked(name, title, fact.cost)
        if line.position <= self._generations:
            self._heads[name] = f"{line.account}\t{line.position}\t{name}"

    def _take_charge(self, line: Line, fact: TokensConsumed) -> None:
        self._transaction(line, "token_consumption", -fact.cost)
        asked = self.asked.get(fact.generation_id)
        if asked is None:  # the log is wrong, and told to be so
            return
        asked.is_charged = True
        self._end(line, asked, "succeeded")
        if line.position <= self._images:
            for ordinal, image in enumerate(fact.images, 1):
                self._pictures.append(
                    f"{line.account}\t{line.position}\t{ordinal}\t{text_of(image.id)}\t"
                    f"{asked.title}\n"
                )

    def _take_failure(self, line: Line, fact: GenerationFailed) -> None:
        if asked := self.asked.get(fact.generation_id):
            asked.is_charged = False
            self._end(line, asked, "canceled" if fact.reason == "canceled" else "failed")

    def _end(self, line: Line, asked: Asked, outcome: str) -> None:
        if line.position <= self._generations:
            self._ends[asked.id] = f"{outcome}\t{line.position}"

    def _transaction(self, line: Line, kind: str, amount: int) -> None:
        if line.position <= self._transactions:
            self._lines.append(
                f"{line.account}\t{line.position}\t{kind}\t{amount}\t{line.settled}\n"
            )


def text_of(name: UUID) -> str:
    """The id's text; `str` takes five times as long."""
    return _json(name)[1:-1].decode()
