"""One account's stream, fact by fact: whether each follows from what stands before it.

The ledger's own `evolve` is the judge. Where it refuses a fact, that is named, and the fold goes
on from the numbers that the row carries, so that one fault is told once.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import msgspec

from ledger.account import Account, evolve
from ledger.codec import DECODERS
from ledger.errors import CorruptLogError
from ledger.facts import (
    Fact,
    GenerationFailed,
    GenerationRequested,
    TokensConsumed,
    TokensGranted,
)
from ledger.identity import ending_id, reference_id, refund_id
from projections.verify.expected import Expected, Line, text_of
from projections.verify.finding import Finding, Kind

COLUMNS = "account_id, version, position, topic, at, fact_id, settled, held, data"
"""What is read of the log, in this order."""


class Stream:
    """The fold of one account. `account` is the ledger's state after the last fact taken."""

    def __init__(self, account_id: str, expected: Expected) -> None:
        self.account = Account(account_id=account_id)
        self.expected = expected
        self.position = 0
        self.is_readable = True
        self._drift = (0, 0)
        self._follows_gap = False

    def take(self, raw: bytes) -> list[Finding]:
        """Fold a row in; what is wrong with it. Nothing is taken once one was unreadable."""
        columns, _, data = raw.rpartition(b"\t")
        account, version, position, topic, at, fact_id, settled, held = columns.decode().split("\t")
        is_plain = b"\\" not in data
        line = Line(account, int(version), int(position), settled, held, is_plain)
        try:
            if not is_plain:
                data = data.replace(b"\\\\", b"\\")
            fact = DECODERS[topic](msgspec.Raw(data))
            time = datetime.fromisoformat(at)
        except (KeyError, ValueError, RecursionError) as error:
            self.is_readable = False
            problem = f"unknown topic {topic}" if isinstance(error, KeyError) else str(error)
            return [self._finding("unreadable", line, problem)]
        found: list[Finding] = []
        if line.version != self.account.version + 1 or line.position <= self.position:
            found += self._misplaced(line)
        if not self._is_named_right(fact, fact_id):
            found.append(self._finding("fact_id_wrong", line, _misnamed(fact, fact_id)))
        if isinstance(fact, TokensGranted) and fact.generation_id is not None:
            found += self._refund(line, fact, fact.generation_id)
        try:
            after = evolve(self.account, fact, time)
        except CorruptLogError as error:
            found += self._impossible(line, fact, error.problem)
            after = self._resumed(line, fact)
        if self._drift != (0, 0) or after.settled != int(settled) or after.held != int(held):
            if self._follows_gap:  # what was lost had its part in them
                after = self._resumed(line, fact)
            found += self._drifted(line, after)
        self._follows_gap = False
        self.account = after
        self.position = line.position
        self.expected.take(line, fact)
        return found

    def _is_named_right(self, fact: Fact, fact_id: str) -> bool:
        match fact:
            case TokensConsumed() | GenerationFailed():
                # A request that was named right has the digits which the mark leaves alone.
                asked = self.expected.asked.get(fact.generation_id)
                if (
                    asked
                    and f"{asked.id[:14]}8{asked.id[15:]}" == fact_id
                    and fact_id[19] in "89ab"
                ):
                    return True
        name = _name(fact, self.account.account_id)
        return name is None or text_of(name) == fact_id

    def _misplaced(self, line: Line) -> Iterator[Finding]:
        before = self.account.version
        if line.version > before + 1:
            gone = (
                f"version {before + 1} is"
                if line.version == before + 2
                else (f"versions {before + 1} to {line.version - 1} are")
            )
            yield self._finding("version_gap", line, f"{gone} gone before version {line.version}")
            self._follows_gap = True
        elif line.version <= before:
            yield self._finding("version_repeated", line, f"version {line.version} is there again")
        if line.position <= self.position:
            detail = f"version {line.version} stands at {line.position}, after {self.position}"
            yield self._finding("position_backwards", line, detail)
        self.account = msgspec.structs.replace(self.account, version=line.version - 1)

    def _refund(self, line: Line, fact: TokensGranted, generation_id: UUID) -> Iterator[Finding]:
        asked = self.expected.asked.get(generation_id)
        charged = asked.cost if asked and asked.is_charged else None
        if charged != fact.amount and not self._follows_gap:
            detail = f"gives {fact.amount} back for {generation_id}, which was charged {charged}"
            yield self._finding("refund_wrong", line, detail)

    def _impossible(self, line: Line, fact: Fact, problem: str) -> Iterator[Finding]:
        kind: Kind = "impossible"
        if not 0 <= int(line.held) <= int(line.settled):
            kind = "negative"
            problem = f"settled {int(line.settled)}, held {int(line.held)}"
        elif isinstance(fact, GenerationRequested | TokensConsumed | GenerationFailed):
            asked = self.expected.asked.get(fact.generation_id)
            if isinstance(fact, GenerationRequested):
                kind = "requested_twice" if asked else kind
            elif asked is None:
                kind = "ending_without_request"
            elif asked.is_charged is not None:
                kind = "ended_twice"
            elif asked.cost != fact.cost:
                kind, problem = "cost_wrong", f"ends {fact.cost} of a hold of {asked.cost}"
            problem = f"generation {fact.generation_id} {problem}"
        if kind == "impossible" and self._follows_gap:
            return  # what was lost may have made it possible
        yield self._finding(kind, line, problem)

    def _resumed(self, line: Line, fact: Fact) -> Account:
        """The account as the row has it, for what could not be folded."""
        holds = dict(self.account.holds)
        match fact:
            case GenerationRequested():
                holds[fact.generation_id] = fact.cost
            case TokensConsumed() | GenerationFailed():
                holds.pop(fact.generation_id, None)
        self._drift = (0, 0)
        return msgspec.structs.replace(
            self.account,
            version=line.version,
            is_open=True,
            settled=int(line.settled),
            held=int(line.held),
            holds=holds,
        )

    def _drifted(self, line: Line, after: Account) -> Iterator[Finding]:
        """How far the row's numbers are from the fold's, told where that changes."""
        drift = (int(line.settled) - after.settled, int(line.held) - after.held)
        if drift not in {self._drift, (0, 0)}:
            found = f"carries settled {int(line.settled)}, held {int(line.held)}"
            before = self._drift
            folded = f"settled {after.settled + before[0]}, held {after.held + before[1]}"
            yield self._finding("balance_wrong", line, f"{found}; the fold leads to {folded}")
        self._drift = drift

    def _finding(self, kind: Kind, line: Line, detail: str) -> Finding:
        return Finding(
            kind=kind,
            detail=detail,
            account_id=self.account.account_id,
            position=line.position,
            version=line.version,
        )


def _name(fact: Fact, account_id: str) -> UUID | None:
    """The id that a fact must have; None where any will do."""
    match fact:
        case GenerationRequested():
            return fact.generation_id
        case TokensConsumed() | GenerationFailed():
            return ending_id(fact.generation_id)
        case TokensGranted(generation_id=UUID() as generation_id):
            return refund_id(generation_id)
        case TokensGranted(reference=str(reference)):
            return reference_id(account_id, reference)
        case _:
            return None


def _misnamed(fact: Fact, fact_id: str) -> str:
    kind = type(fact).__name__
    return f"{kind} has the id {fact_id}, which is not the one that it must have"
