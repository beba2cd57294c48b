"""The real ledger on a real PostgreSQL, held to a plain model after every step."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar
from uuid import UUID

import psycopg
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from databases import Database
from ledger.batch import Outcome
from ledger.commands import ChangeMembership, RefundGeneration, RevokeTokens, Submission
from ledger.entry import Entry
from ledger.errors import KeyReusedError, LedgerError, Refusal
from ledger.facts import FailureReason, GenerationFailed, TokensConsumed
from ledger.identity import input_hash, key_id, new_id
from ledger.ledger import Ledger
from ledger_model import PlainAccount
from ledger_samples import NOTE, grant, opening, plain, release, request, settle

CURRENT = """
SELECT DISTINCT ON (account_id) account_id, version, settled, held
FROM ledger_events WHERE account_id = ANY(%s) ORDER BY account_id, version DESC"""
ENDED_TWICE = """
SELECT data ->> 'generation_id' FROM ledger_events
WHERE account_id = ANY(%s) AND topic IN ('tokens_consumed:1', 'generation_failed:1')
GROUP BY 1 HAVING count(*) > 1"""
GAPS = "SELECT count(*) FROM ledger_events HAVING count(*) <> max(position) OR min(position) <> 1"

T = TypeVar("T")

accounts = st.integers(0, 1)
ledgers = st.integers(0, 1)
amounts = st.integers(1, 40)
costs = st.integers(0, 15)
# For each image, images, and how far from it the confirmed price is.
prices = st.tuples(costs, st.integers(1, 3), st.sampled_from([None, None, 0, 1]))
picks = st.integers(0, 1000)
keys = st.sampled_from(["", "", "k1", "k2"])
reasons: st.SearchStrategy[FailureReason] = st.sampled_from(["blocked", "canceled", "expired"])


@dataclass
class Step:
    """A submission, and what the model makes of it where its key is new."""

    submission: Submission
    account: str
    act: Callable[[], str]
    given: str = ""
    key: tuple[str, str, str] | None = None


@dataclass
class Remembered:
    given: str
    entry: Entry
    step: Step


class LedgerMachine(RuleBasedStateMachine):
    """Two ledgers on one database take the commands; accounts are new for each run."""

    url: ClassVar[str]
    steps: ClassVar[int]
    runs: ClassVar[Iterator[int]]

    def __init__(self) -> None:
        super().__init__()
        run = next(type(self).runs)
        self.names = [f"a{run}", f"b{run}"]
        self.model = {name: PlainAccount() for name in self.names}
        self.remembered: dict[tuple[str, str, str], Remembered] = {}
        self.ids: dict[str, list[UUID]] = {name: [] for name in self.names}
        self.ledgers = [Ledger(self.url), Ledger(self.url)]
        self.database = psycopg.connect(self.url, autocommit=True)
        self.threads = ThreadPoolExecutor(2)

    def teardown(self) -> None:
        for ledger in self.ledgers:
            ledger.close()
        self.database.close()
        self.threads.shutdown()

    @initialize(tokens=st.lists(st.integers(0, 60), min_size=2, max_size=2))
    def open_accounts(self, tokens: list[int]) -> None:
        for name, welcome in zip(self.names, tokens, strict=True):
            self.model[name].open_account(tokens=welcome, member=False)
            self.ledgers[0].record(plain(opening(name, tokens=welcome)))

    # One command at a time, through either ledger.

    @rule(via=ledgers, on=accounts, amount=amounts, reference=keys, key=keys)
    def grant(self, via: int, on: int, amount: int, reference: str, key: str) -> None:
        self.record(via, self.granting(on, amount, reference, key))

    @rule(via=ledgers, on=accounts, amount=amounts, key=keys)
    def revoke(self, via: int, on: int, amount: int, key: str) -> None:
        self.record(via, self.revoking(on, amount, key))

    @rule(via=ledgers, on=accounts, member=st.booleans(), key=keys)
    def membership(self, via: int, on: int, member: bool, key: str) -> None:  # noqa: FBT001 - a rule's
        self.record(via, self.changing(on, member=member, key=key))

    @rule(via=ledgers, on=accounts, price=prices, members=st.booleans(), key=keys)
    def request(
        self,
        via: int,
        on: int,
        price: tuple[int, int, int | None],
        members: bool,  # noqa: FBT001 - a rule's
        key: str,
    ) -> None:
        cost, count, off = price
        expected = None if off is None else cost * count + off
        self.record(
            via,
            self.requesting(on, cost, count=count, expected=expected, members=members, key=key),
        )

    @rule(via=ledgers, on=accounts, pick=picks)
    def settle(self, via: int, on: int, pick: int) -> None:
        self.record(via, self.settling(on, pick))

    @rule(via=ledgers, on=accounts, pick=picks, reason=reasons)
    def fail_cancel_or_expire(self, via: int, on: int, pick: int, reason: FailureReason) -> None:
        self.record(via, self.releasing(on, pick, reason))

    # No preconditions: which of two processes was first must not steer what is drawn next.

    @rule(via=ledgers, pick=picks, key=keys)
    def refund(self, via: int, pick: int, key: str) -> None:
        if step := self.refunding(pick, key):
            self.record(via, step)

    @rule(via=ledgers, pick=picks)
    def request_again_without_a_key(self, via: int, pick: int) -> None:
        if step := self.requesting_again(pick):
            self.record(via, step)

    @rule(via=ledgers, pick=picks)
    def retry_with_the_same_key(self, via: int, pick: int) -> None:
        if step := self.retrying(pick):
            self.record(via, step)

    @rule(via=ledgers, pick=picks)
    def same_key_with_other_input(self, via: int, pick: int) -> None:
        if known := self.retrying(pick):
            other = self.keyed(known.submission, known.account, known.act, known.key, "other")
            self.record(via, other)

    # Several at once.

    @rule(via=ledgers, data=st.data(), size=st.integers(2, 12))
    def batch(self, via: int, data: st.DataObject, size: int) -> None:
        """Submitted from one event loop in one go: the committer takes them as one batch."""
        steps = [self.any_step(data) for _ in range(size)]
        self.count(len(steps))
        results = asyncio.run(_together(self.ledgers[via], [step.submission for step in steps]))
        for step, result in zip(steps, results, strict=True):
            self.check(step, result)

    @rule(pick=picks, reason=reasons)
    def two_processes_end_one_generation(self, pick: int, reason: FailureReason) -> None:
        if not self.opened():
            return
        name, generation_id = self.pick(self.opened(), pick)
        won, lost = self.at_once(
            plain(settle(generation_id, name)), plain(release(generation_id, name, reason))
        )
        assert won.entries == lost.entries
        assert won.replayed is not lost.replayed
        fact = won.entries[0].fact
        assert isinstance(fact, TokensConsumed | GenerationFailed)
        how = "consumed" if isinstance(fact, TokensConsumed) else fact.reason
        assert self.model[name].end(generation_id, how) == "recorded"

    @rule(on=accounts, cost=st.integers(0, 3))
    def two_processes_take_one_key(self, on: int, cost: int) -> None:
        fresh = str(new_id())
        steps = [self.requesting(on, cost, key=fresh) for _ in range(2)]
        if self.model[self.names[on]].available < cost:
            return
        won, lost = self.at_once(*(step.submission for step in steps))
        assert won.entries == lost.entries
        assert won.replayed is not lost.replayed
        self.check(steps[1] if won.replayed else steps[0], lost if won.replayed else won)

    @rule(via=ledgers)
    def restart_with_a_cold_cache(self, via: int) -> None:
        self.count()
        self.ledgers[via].close()
        self.ledgers[via] = Ledger(self.url)

    # After each.

    @invariant()
    def agrees_with_the_model(self) -> None:
        rows = {
            name: tuple(numbers)
            for name, *numbers in self.database.execute(CURRENT, [self.names]).fetchall()
        }
        for name, model in self.model.items():
            if name not in rows:
                continue  # before the accounts are opened
            assert rows[name] == (model.facts, model.settled, model.held)
            assert 0 <= model.held <= model.settled
            for ledger in self.ledgers:
                account = ledger.account(name)
                assert (account.version, account.settled, account.held, account.available) == (
                    model.facts,
                    model.settled,
                    model.held,
                    model.available,
                )
                assert account.is_member == model.is_member
                still_open = {i: g.cost for i, g in model.generations.items() if not g.ended}
                assert account.holds == still_open
        assert self.database.execute(ENDED_TWICE, [self.names]).fetchall() == []
        assert self.database.execute(GAPS).fetchall() == []

    # How a step is made.

    def any_step(self, data: st.DataObject) -> Step:
        on, pick, key = data.draw(accounts), data.draw(picks), data.draw(keys)
        made: list[Callable[[], Step | None]] = [
            lambda: self.granting(on, data.draw(amounts), data.draw(keys), key),
            lambda: self.revoking(on, data.draw(amounts), key),
            lambda: self.changing(on, member=data.draw(st.booleans()), key=key),
            lambda: self.requesting(on, data.draw(costs), key=key),
            lambda: self.requesting(on, data.draw(costs), members=True, key=key),
            lambda: self.settling(on, pick),
            lambda: self.releasing(on, pick, data.draw(reasons)),
            lambda: self.refunding(pick, key),
            lambda: self.requesting_again(pick),
            lambda: self.retrying(pick),
        ]
        made_so = data.draw(st.integers(0, len(made) - 1))
        return made[made_so]() or self.granting(on, 1, "", key)

    def granting(self, on: int, amount: int, reference: str, key: str) -> Step:
        name = self.names[on]
        wanted = reference or None
        command = grant(amount, name, reference=wanted)
        act = partial(self.model[name].grant, amount, wanted)
        return self.maybe_keyed(plain(command), name, act, key, f"{amount} {wanted}")

    def revoking(self, on: int, amount: int, key: str) -> Step:
        name = self.names[on]
        command = RevokeTokens(account_id=name, amount=amount, note_id=NOTE)
        act = partial(self.model[name].revoke, amount)
        return self.maybe_keyed(plain(command), name, act, key, f"{amount}")

    def changing(self, on: int, *, member: bool, key: str) -> Step:
        name = self.names[on]
        command = ChangeMembership(account_id=name, is_member=member)
        act = partial(self.model[name].membership, member=member)
        return self.maybe_keyed(plain(command), name, act, key, f"{member}")

    def requesting(
        self,
        on: int,
        cost: int,
        *,
        count: int = 1,
        expected: int | None = None,
        members: bool = False,
        key: str,
    ) -> Step:
        name, generation_id = self.names[on], new_id()
        self.ids[name].append(generation_id)
        command = request(
            cost, generation_id, name, count=count, expected_cost=expected, members_only=members
        )
        act = partial(
            self.model[name].request,
            generation_id,
            cost * count,
            members_only=members,
            expected=expected,
        )
        given = f"{cost} {count} {expected} {members}"
        return self.maybe_keyed(plain(command), name, act, key, given)

    def retrying(self, pick: int) -> Step | None:
        known = list(self.remembered.values())
        return self.pick(known, pick).step if known else None

    def requesting_again(self, pick: int) -> Step | None:
        """Of whichever account; what was refused before is asked for the first time."""
        if not any(self.ids.values()):
            return None
        name, generation_id = self.pick([(n, i) for n in self.names for i in self.ids[n]], pick)
        act = partial(self.model[name].request, generation_id, 1, members_only=False, expected=None)
        return Step(plain(request(1, generation_id, name)), name, act)

    def settling(self, on: int, pick: int) -> Step:
        name = self.names[on]
        generation_id = self.pick([*self.ids[name], new_id()], pick)
        act = partial(self.model[name].end, generation_id, "consumed")
        return Step(plain(settle(generation_id, name)), name, act)

    def releasing(self, on: int, pick: int, reason: FailureReason) -> Step:
        name = self.names[on]
        generation_id = self.pick([*self.ids[name], new_id()], pick)
        act = partial(self.model[name].end, generation_id, reason)
        return Step(plain(release(generation_id, name, reason)), name, act)

    def refunding(self, pick: int, key: str) -> Step | None:
        if not self.charged():
            return None
        name, generation_id = self.pick(self.charged(), pick)
        command = RefundGeneration(
            account_id=name,
            generation_id=generation_id,
            charged=self.model[name].generations[generation_id].cost,
            note_id=NOTE,
        )
        act = partial(self.model[name].refund, generation_id)
        return self.maybe_keyed(plain(command), name, act, key, f"{generation_id}")

    def maybe_keyed(
        self, submission: Submission, name: str, act: Callable[[], str], key: str, given: str
    ) -> Step:
        if not key:
            return Step(submission, name, act)
        operation = type(submission.command).__name__
        return self.keyed(submission, name, act, (name, operation, key), given)

    def keyed(
        self,
        submission: Submission,
        name: str,
        act: Callable[[], str],
        key: tuple[str, str, str] | None,
        given: str,
    ) -> Step:
        assert key is not None
        with_key = Submission(
            command=submission.command,
            actor="key:1",
            key_id=key_id(*key),
            input_hash=input_hash([given.encode()]),
        )
        return Step(with_key, name, act, given, key)

    # How it is taken and checked.

    def record(self, via: int, step: Step) -> None:
        self.count()
        try:
            result: Outcome | LedgerError = self.ledgers[via].record(step.submission)
        except LedgerError as error:
            result = error
        self.check(step, result)

    def check(self, step: Step, result: Outcome | LedgerError | BaseException) -> None:
        known = self.remembered.get(step.key) if step.key else None
        if known is None:
            expected = step.act()
        elif known.given == step.given:
            expected = "replayed"
            assert isinstance(result, Outcome)
            assert result.entries == (known.entry,)
        else:
            expected = KeyReusedError.__name__
        assert told(result) == expected
        if isinstance(result, Outcome):
            model = self.model[step.account]
            assert (result.settled, result.held) == (model.settled, model.held)
            if expected == "recorded" and step.key:
                self.remembered[step.key] = Remembered(step.given, result.entries[0], step)

    def at_once(self, *submissions: Submission) -> list[Outcome]:
        self.count(len(submissions))
        return list(
            self.threads.map(
                lambda pair: pair[0].record(pair[1]), zip(self.ledgers, submissions, strict=True)
            )
        )

    def count(self, steps: int = 1) -> None:
        type(self).steps += steps

    def charged(self) -> list[tuple[str, UUID]]:
        return [
            (name, generation_id)
            for name, model in self.model.items()
            for generation_id, generation in model.generations.items()
            if generation.ended == "consumed" and generation.cost
        ]

    def opened(self) -> list[tuple[str, UUID]]:
        return [
            (name, generation_id)
            for name, model in self.model.items()
            for generation_id, generation in model.generations.items()
            if not generation.ended
        ]

    @staticmethod
    def pick(among: Sequence[T], number: int) -> T:
        return among[number % len(among)]


def told(result: Outcome | BaseException) -> str:
    """An answer in the model's words."""
    if isinstance(result, Outcome):
        return "replayed" if result.replayed else "recorded" if result.entries else "nothing"
    assert isinstance(result, Refusal), repr(result)
    return " ".join([type(result).__name__, *map(str, vars(result).values())])


async def _together(
    ledger: Ledger, submissions: Sequence[Submission]
) -> list[Outcome | BaseException]:
    return await asyncio.gather(
        *(ledger.record_async(submission) for submission in submissions), return_exceptions=True
    )


# Shrinking against a server takes minutes, and 25 steps can be read.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


def run(url: str, runs: settings) -> int:
    class Machine(LedgerMachine):
        pass

    Machine.url, Machine.steps, Machine.runs = url, 0, itertools.count()
    run_state_machine_as_test(Machine, settings=runs)
    return Machine.steps


def test_a_few_hundred_steps(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    steps = run(database.url, settings(max_examples=20, stateful_step_count=25, phases=PHASES))
    with capsys.disabled():
        print(f"\n{steps} steps of the ledger agree with the model")
    assert steps >= 300


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_steps(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    steps = run(database.url, settings(max_examples=200, stateful_step_count=60, phases=PHASES))
    with capsys.disabled():
        print(f"\n{steps} steps of the ledger agree with the model")
    assert steps >= 10_000
