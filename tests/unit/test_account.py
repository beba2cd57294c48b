"""How facts change an account, and which cannot follow."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ledger.account import Account, evolve
from ledger.entry import Entry
from ledger.errors import CorruptLogError
from ledger.facts import (
    FACT_TYPES,
    AccountOpened,
    Fact,
    MembershipChanged,
    TokensGranted,
    TokensRevoked,
)
from ledger.identity import new_id
from ledger.snapshots import follow
from ledger_samples import ACCOUNT, AT, FIRST, NOTE, SECOND, consumed, failed, requested

OPEN = AccountOpened(is_member=False)
TEN = TokensGranted(amount=10, reason="promo")


def fold(*facts: Fact) -> Account:
    account = Account(account_id=ACCOUNT)
    for fact in facts:
        account = evolve(account, fact, AT)
    return account


def test_each_fact_in_turn() -> None:
    account = fold(OPEN)
    assert (account.version, account.is_open, account.is_member) == (1, True, False)
    steps: list[tuple[Fact, int, int]] = [
        (TEN, 10, 0),
        (requested(4), 10, 4),
        (requested(6, SECOND), 10, 10),
        (consumed(4), 6, 6),
        (failed(6, SECOND), 6, 0),
        (TokensGranted(amount=4, reason="refund", generation_id=FIRST), 10, 0),
        (TokensRevoked(amount=10, note_id=NOTE), 0, 0),
        (MembershipChanged(is_member=True), 0, 0),
    ]
    for version, (fact, settled, held) in enumerate(steps, 2):
        account = evolve(account, fact, AT)
        assert (account.settled, account.held) == (settled, held)
        assert account.available == settled - held
        assert account.version == version
    assert account.is_member
    assert account.holds == {}


CORRUPT: dict[str, tuple[tuple[Fact, ...], Fact, str]] = {
    "nothing before it": ((), TEN, "was never opened"),
    "a request before it": ((), requested(0), "was never opened"),
    "membership before it": ((), MembershipChanged(is_member=True), "was never opened"),
    "opened twice": ((OPEN, TEN), OPEN, "opened twice"),
    "requested twice": ((OPEN, TEN, requested(4)), requested(4), "requested twice"),
    "settled without a hold": ((OPEN, TEN), consumed(4), "ends no hold"),
    "released without a hold": ((OPEN, TEN), failed(4), "ends no hold"),
    "settled twice": ((OPEN, TEN, requested(4), consumed(4)), consumed(4), "ends no hold"),
    "released after the charge": (
        (OPEN, TEN, requested(4), consumed(4)), failed(4), "ends no hold",
    ),
    "settled at another cost": ((OPEN, TEN, requested(4)), consumed(5), "ends no hold"),
    "held beyond what is there": ((OPEN, TEN), requested(11), "spends what it has not"),
    "revoked beyond what is there": (
        (OPEN, TEN), TokensRevoked(amount=11, note_id=NOTE), "spends what it has not",
    ),
    "revoked what is held": (
        (OPEN, TEN, requested(4)), TokensRevoked(amount=7, note_id=NOTE), "spends what it has not",
    ),
    "granted nothing": ((OPEN,), TokensGranted(amount=0, reason="promo"), "moves 0"),
    "granted less": ((OPEN, TEN), TokensGranted(amount=-1, reason="promo"), "moves -1"),
    "revoked less": ((OPEN,), TokensRevoked(amount=-5, note_id=NOTE), "moves -5"),
    "held less": ((OPEN, TEN, requested(4)), requested(-4, SECOND), "moves -4"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRUPT)
def test_a_log_that_cannot_be_is_refused(name: str) -> None:
    before, fact, problem = CORRUPT[name]
    account = fold(*before)
    with pytest.raises(CorruptLogError, match=problem) as raised:
        evolve(account, fact, AT)
    assert raised.value.account_id == ACCOUNT
    assert raised.value.version == len(before) + 1


def entry(fact: Fact, version: int, settled: int, held: int) -> Entry:
    return Entry(
        position=version, account_id=ACCOUNT, version=version, at=AT, actor="test",
        fact_id=new_id(), settled=settled, held=held, fact=fact,
    )  # fmt: skip


def test_following_checks_the_version_and_the_numbers() -> None:
    account = fold(OPEN)
    assert follow(account, entry(TEN, 2, 10, 0)).settled == 10
    with pytest.raises(CorruptLogError, match="follows 1"):
        follow(account, entry(TEN, 3, 10, 0))
    with pytest.raises(CorruptLogError, match="follows 1"):
        follow(account, entry(TEN, 1, 10, 0))
    with pytest.raises(CorruptLogError, match="carries other numbers"):
        follow(account, entry(TEN, 2, 11, 0))
    with pytest.raises(CorruptLogError, match="carries other numbers"):
        follow(account, entry(TEN, 2, 10, 1))


def test_a_fact_without_a_case_is_not_passed_over() -> None:
    class Unheard(msgspec.Struct):
        pass

    with pytest.raises(AssertionError, match="Unheard"):
        evolve(fold(OPEN), Unheard(), AT)  # type: ignore[arg-type]


def test_the_type_check_asks_for_a_case_for_each_fact(tmp_path: Path) -> None:
    """Take one case out of `evolve`: mypy names the fact that nobody folds any more."""
    source = Path(sys.modules[evolve.__module__].__file__ or "").read_text(encoding="utf-8")
    case = "        case MembershipChanged():\n            is_member = fact.is_member\n"
    assert case in source
    changed = tmp_path / "changed.py"
    changed.write_text(source.replace(case, ""), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    ledger = Path(sys.modules["ledger.account"].__file__ or "").parents[1]
    done = subprocess.run(
        [*command, "--config-file", "", "--follow-imports", "silent", str(changed)],
        capture_output=True, text=True, check=False, timeout=100,
        env={"MYPYPATH": str(ledger), "PATH": ""},
    )  # fmt: skip
    assert 'to "assert_never" has incompatible type "MembershipChanged"' in done.stdout, (
        done.stdout + done.stderr
    )


def test_every_fact_has_a_topic_of_its_own() -> None:
    assert len(FACT_TYPES) == 7
    for topic, kind in FACT_TYPES.items():
        assert "TOPIC" in vars(kind)
        assert topic == kind.TOPIC
        name, _, version = topic.partition(":")
        assert name.replace("_", "").isalpha()
        assert int(version) >= 1


def test_state_stays_small_however_long_the_stream() -> None:
    account = fold(OPEN, TEN)
    for _ in range(500):
        generation_id = new_id()
        account = evolve(account, requested(1, generation_id), AT)
        account = evolve(account, failed(1, generation_id), AT)
    assert len(msgspec.json.encode(account)) < 250
