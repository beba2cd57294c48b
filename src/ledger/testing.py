"""Given, when, then: what a command leads to after some history, without a database.

given("ann", AccountOpened(is_member=False), TokensGranted(amount=5, reason="promo"))
.when(request(cost=4)).then(GenerationRequested(...)).balance(settled=5, held=4)
.when(request(cost=2)).then_refused(InsufficientTokensError(2, 1))
"""

from datetime import UTC, datetime, timedelta
from typing import NoReturn, Self, cast, get_args
from uuid import UUID

from ledger.account import Account, evolve
from ledger.batch import Batch, Outcome
from ledger.commands import Command, Submission
from ledger.entry import Entry
from ledger.errors import Refusal
from ledger.facts import (
    Fact,
    GenerationFailed,
    GenerationRequested,
    TokensConsumed,
    TokensGranted,
)
from ledger.identity import ending_id, new_id, reference_id, refund_id

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When a history begins where no time is given; the start of a minute."""


class Scenario:
    """One account's history, and the last command's fate. Each step returns the scenario."""

    def __init__(self, account_id: str) -> None:
        self._account_id = account_id
        self._batch = Batch(
            position=0, at=START, accounts={account_id: Account(account_id=account_id)}, known={}
        )
        self._result: Outcome | Refusal | None = None

    @property
    def account(self) -> Account:
        """The account as it is now."""
        return self._batch.accounts[self._account_id]

    def given(self, *history: Fact | Command | Submission) -> Self:
        """Add facts as they are, and commands that must not be refused."""
        for step in history:
            if isinstance(step, get_args(Fact)):
                self._follow(cast("Fact", step))
                continue
            self.when(cast("Command | Submission", step))
            if isinstance(self._result, Refusal):
                _fail("given", "a command that is taken", self._result)
        return self

    def when(
        self,
        asked: Command | Submission,
        *,
        at: datetime | None = None,
        after_seconds: float = 0,
    ) -> Self:
        """Decide a command at `at`, or `after_seconds` after the last one."""
        self._batch.at = at or self._batch.at + timedelta(seconds=after_seconds)
        submission = (
            asked if isinstance(asked, Submission) else Submission(command=asked, actor="test")
        )
        try:
            self._result = self._batch.apply(submission)
        except Refusal as refusal:
            self._result = refusal
        return self

    def then(self, *facts: Fact) -> Self:
        """The command added these facts (none: nothing needed doing), and is no replay."""
        got = self._outcome(facts)
        if got.replayed or tuple(entry.fact for entry in got.entries) != facts:
            _fail("then", facts, got)
        return self

    def then_replayed(self, fact: Fact) -> Self:
        """The log had this fact for the command already; nothing was added."""
        got = self._outcome(fact)
        if not got.replayed or tuple(entry.fact for entry in got.entries) != (fact,):
            _fail("then replayed", fact, got)
        return self

    def then_refused(self, refusal: Refusal) -> Self:
        """The command was refused with exactly this, its numbers included."""
        got = self._result
        if type(got) is not type(refusal) or vars(got) != vars(refusal):
            _fail("then refused", refusal, got)
        return self

    def balance(self, *, settled: int, held: int) -> Self:
        """The account's numbers are these now."""
        got = (self.account.settled, self.account.held)
        if got != (settled, held):
            _fail("balance", (settled, held), got)
        return self

    def _outcome(self, expected: object) -> Outcome:
        if not isinstance(self._result, Outcome):
            _fail("then", expected, self._result)
        return self._result

    def _follow(self, fact: Fact) -> None:
        batch, after = self._batch, evolve(self.account, fact, self._batch.at)
        entry = Entry(
            position=batch.position + 1,
            account_id=self._account_id,
            version=after.version,
            at=batch.at,
            actor="test",
            fact_id=_fact_id(self._account_id, fact),
            settled=after.settled,
            held=after.held,
            fact=fact,
        )
        batch.accounts[self._account_id] = after
        batch.known[entry.fact_id.int] = entry
        batch.position += 1


def given(account_id: str, *history: Fact | Command | Submission) -> Scenario:
    """Begin with an account that this happened to; nothing: it was never opened."""
    return Scenario(account_id).given(*history)


def _fact_id(account_id: str, fact: Fact) -> UUID:
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
            return new_id()


def _fail(step: str, expected: object, got: object) -> NoReturn:
    raise AssertionError(f"{step}: expected {expected!r}\n  got {got!r}")
