"""What holds for every history that deciding lets through."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from ledger.account import Account, evolve
from ledger.batch import Batch
from ledger.codec import decode_entry, encode_entry
from ledger.commands import (
    ChangeMembership,
    Command,
    OpenAccount,
    RefundGeneration,
    RevokeTokens,
    Submission,
)
from ledger.entry import Entry
from ledger.errors import CorruptLogError, Refusal
from ledger.facts import (
    GenerationFailed,
    GenerationRequested,
    TokensConsumed,
    TokensGranted,
    TokensRevoked,
)
from ledger.snapshots import encode_snapshots, follow_all
from ledger.testing import START
from ledger_samples import ACCOUNT, NOTE, grant, keyed, plain, release, request, settle

GENERATIONS = [UUID(int=0x0193_0000_0000_7000_8000_0000_0000_0100 + i) for i in range(4)]
generations = st.sampled_from(GENERATIONS)
amounts = st.integers(1, 30)

commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(grant, amounts, reference=st.sampled_from([None, None, "a", "b"])),
    st.builds(
        lambda amount: RevokeTokens(account_id=ACCOUNT, amount=amount, note_id=NOTE), amounts
    ),
    st.builds(
        request,
        st.integers(0, 12),
        generations,
        count=st.integers(1, 4),
        members_only=st.booleans(),
        rate_per_minute=st.sampled_from([0, 0, 3]),
    ),
    st.builds(settle, generations),
    st.builds(release, generations),
    st.builds(
        lambda generation_id, charged: RefundGeneration(
            account_id=ACCOUNT, generation_id=generation_id, charged=charged, note_id=NOTE
        ),
        generations,
        amounts,
    ),
    st.builds(lambda member: ChangeMembership(account_id=ACCOUNT, is_member=member), st.booleans()),
)
submissions: st.SearchStrategy[Submission] = st.one_of(
    st.builds(plain, commands), st.builds(keyed, commands, st.sampled_from("pqrst"))
)
histories = st.lists(submissions, min_size=10, max_size=60)


class Log:
    """A history decided by the ledger, and the entries that it has led to."""

    def __init__(self, history: list[Submission]) -> None:
        opened = Account(account_id=ACCOUNT)
        self.batch = Batch(0, START, {ACCOUNT: opened}, {})
        self.taken: list[Submission] = []
        recorded: list[Entry] = []
        for number, submission in enumerate([plain(OPENING), *history]):
            self.batch.at = START + timedelta(seconds=number)
            try:
                outcome = self.batch.apply(submission)
            except Refusal:
                continue
            if outcome.entries and not outcome.replayed:
                self.taken.append(submission)
                recorded += outcome.entries
        self.entries = [decode_entry(encode_entry(entry)) for entry in recorded]

    @property
    def account(self) -> Account:
        return self.batch.accounts[ACCOUNT]


OPENING = OpenAccount(account_id=ACCOUNT, is_member=False, tokens=20)


def fold(entries: list[Entry], start: Account | None = None) -> Account:
    account = start or Account(account_id=ACCOUNT)
    for entry in entries:
        account = evolve(account, entry.fact, entry.at)
    return account


@examples(histories)
def test_tokens_are_conserved(history: list[Submission]) -> None:
    granted = consumed = revoked = 0
    open_holds: dict[UUID, int] = {}
    for entry in Log(history).entries:
        match entry.fact:
            case TokensGranted(amount=amount):
                granted += amount
            case TokensRevoked(amount=amount):
                revoked += amount
            case GenerationRequested(generation_id=generation_id, cost=cost):
                open_holds[generation_id] = cost
            case TokensConsumed(generation_id=generation_id, cost=cost):
                consumed += cost
                assert open_holds.pop(generation_id) == cost
            case GenerationFailed(generation_id=generation_id, cost=cost):
                assert open_holds.pop(generation_id) == cost
            case _:
                pass
        assert entry.settled == granted - consumed - revoked
        assert entry.held == sum(open_holds.values())


@examples(histories)
def test_nothing_is_ever_negative(history: list[Submission]) -> None:
    for entry in Log(history).entries:
        assert 0 <= entry.held <= entry.settled
        assert entry.available >= 0


@examples(histories)
def test_every_prefix_folds_to_what_its_last_entry_says(history: list[Submission]) -> None:
    log = Log(history)
    for end, last in enumerate(log.entries, 1):
        account = fold(log.entries[:end])
        assert (account.version, account.settled, account.held) == (end, last.settled, last.held)
        assert last.position == last.version == end
    assert fold(log.entries) == log.account


@examples(histories)
def test_each_generation_begins_and_ends_at_most_once(history: list[Submission]) -> None:
    begun: Counter[UUID] = Counter()
    ended: Counter[UUID] = Counter()
    refunded: Counter[UUID | None] = Counter()
    for entry in Log(history).entries:
        match entry.fact:
            case GenerationRequested(generation_id=generation_id):
                begun[generation_id] += 1
            case TokensConsumed(generation_id=generation_id):
                ended[generation_id] += 1
            case GenerationFailed(generation_id=generation_id):
                ended[generation_id] += 1
            case TokensGranted(reason="refund", generation_id=refund_of):
                refunded[refund_of] += 1
            case _:
                pass
    for counts in (begun, ended, refunded):
        assert set(counts.values()) <= {1}
    assert ended.keys() <= begun.keys()


@examples(histories)
def test_asking_again_changes_nothing(history: list[Submission]) -> None:
    """Every command that was taken and has something to be known by."""
    log = Log(history)
    before, rows = log.account, len(log.batch.rows)
    for submission in log.taken:
        remembered = submission.key_id or isinstance(
            submission.command, type(settle()) | type(release()) | type(request(0))
        )
        if remembered:
            outcome = log.batch.apply(submission)
            assert outcome.replayed
            assert outcome.entries
        elif isinstance(submission.command, OpenAccount | RefundGeneration):
            with pytest.raises(Refusal):
                log.batch.apply(submission)
        else:
            continue
        assert log.account == before
    assert len(log.batch.rows) == rows


@examples(histories, st.integers(0, 45))
def test_a_snapshot_and_the_tail_are_the_whole(history: list[Submission], cut: int) -> None:
    entries = Log(history).entries
    document = msgspec.json.decode(encode_snapshots([fold(entries[:cut])]))[0]["state"]
    snapshot = msgspec.convert(document, Account)
    accounts = {ACCOUNT: snapshot}
    follow_all(accounts, entries[cut:])
    assert accounts[ACCOUNT] == fold(entries)
    assert fold(entries[cut:], snapshot) == fold(entries)


@examples(histories, st.data())
def test_a_gap_or_a_repetition_is_noticed(history: list[Submission], data: st.DataObject) -> None:
    entries = Log(history).entries
    at = data.draw(st.integers(0, len(entries) - 1))
    broken = [entries[: at + 1] + entries[at:]]
    if at + 1 < len(entries):
        broken.append(entries[:at] + entries[at + 1 :])
    for log in broken:
        with pytest.raises(CorruptLogError):
            follow_all({ACCOUNT: Account(account_id=ACCOUNT)}, log)
