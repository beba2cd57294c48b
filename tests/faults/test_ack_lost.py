"""The connection is lost at COMMIT: the caller is told the truth, and nothing happens twice."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest

import ledger.recording
from cutting_proxy import CuttingProxy, Where
from databases import Database
from ledger.batch import Outcome
from ledger.commands import (
    Beside,
    ChangeMembership,
    RefundGeneration,
    RevokeTokens,
    Submission,
)
from ledger.entry import Entry
from ledger.errors import (
    InsufficientTokensError,
    KeyReusedError,
    LedgerUnavailableError,
    ReferenceUsedError,
)
from ledger.facts import GenerationFailed
from ledger.identity import new_id
from ledger.ledger import Ledger
from ledger_running import in_one_batch, running, whole_log
from ledger_samples import NOTE, grant, keyed, opening, plain, release, request, settle

HELD = UUID("01930000-0000-7000-8000-0000000000f1")
FRESH = UUID("01930000-0000-7000-8000-0000000000f2")
PAID = UUID("01930000-0000-7000-8000-0000000000f3")
BESIDE = Beside(
    "INSERT INTO notes (id, account_id, actor, text) VALUES (%s, 'ann', 'test', 'why')", (NOTE,)
)
PLACES: tuple[Where, ...] = ("before", "half", "after")


class Through(NamedTuple):
    """A ledger behind the proxy, and one beside it; `ann` has 14 tokens and holds 4."""

    proxy: CuttingProxy
    ledger: Ledger
    direct: Ledger
    url: str


@pytest.fixture
def through(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Through]:
    monkeypatch.setattr(ledger.recording, "RETRY_SECONDS", 0.01)
    with (
        CuttingProxy(database.url) as proxy,
        running(proxy.url) as behind,
        running(database.url) as direct,
    ):
        setting = (opening(tokens=20), request(4, HELD), request(6, PAID), settle(PAID))
        for command in setting:
            behind.record(plain(command))
        yield Through(proxy, behind, direct, database.url)


# What is asked, and how many tokens are then owned and held.
COMMANDS: dict[str, tuple[Callable[[], Submission], int, int]] = {
    "request with a key": (lambda: keyed(request(5, FRESH), "k"), 14, 9),
    "request without a key": (lambda: plain(request(5, FRESH)), 14, 9),
    "request of all that is left": (lambda: keyed(request(10, FRESH), "k"), 14, 14),
    "settle": (lambda: plain(settle(HELD)), 10, 0),
    "release": (lambda: plain(release(HELD)), 14, 0),
    "grant": (lambda: plain(grant(3)), 17, 4),
    "grant with a key": (lambda: keyed(grant(3), "k"), 17, 4),
    "grant with a reference": (lambda: plain(grant(3, reference="order")), 17, 4),
    "grant with both": (lambda: keyed(grant(3, reference="order"), "k"), 17, 4),
    "grant with a note beside": (lambda: keyed(grant(3), "k", beside=(BESIDE,)), 17, 4),
    "revoke": (
        lambda: keyed(RevokeTokens(account_id="ann", amount=10, note_id=NOTE), "k"), 4, 4,
    ),
    "refund": (
        lambda: keyed(
            RefundGeneration(account_id="ann", generation_id=PAID, charged=6, note_id=NOTE), "k"
        ),
        20, 4,
    ),
    "membership": (
        lambda: keyed(ChangeMembership(account_id="ann", is_member=True), "k"), 14, 4,
    ),
}  # fmt: skip
BEFORE = 5  # facts


def check_recorded_once(
    through: Through, outcome: Outcome, settled: int, held: int
) -> tuple[Entry, ...]:
    log = tuple(whole_log(through.url))
    assert outcome.entries == log[BEFORE:]
    assert len(outcome.entries) == 1
    for reader in (through.ledger, through.direct):
        account = reader.account("ann")
        assert (account.settled, account.held) == (settled, held)
    return outcome.entries


@pytest.mark.parametrize("state", ["alone", "others write", "cold"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", COMMANDS)
def test_the_caller_does_not_notice(through: Through, name: str, place: Where, state: str) -> None:
    """Whether the batch was written unread or after a look at what other processes wrote."""
    make, settled, held = COMMANDS[name]
    if state == "others write":
        through.direct.record(plain(opening("bob")))
    with running(through.proxy.url) as cold:
        through.proxy.cut(place)
        outcome = (cold if state == "cold" else through.ledger).record(make())
    assert through.proxy.cuts == 1
    assert not outcome.replayed
    assert (outcome.settled, outcome.held) == (settled, held)
    log = [entry for entry in whole_log(through.url) if entry.account_id == "ann"]
    assert outcome.entries == tuple(log[BEFORE:])
    assert len(outcome.entries) == 1
    account = through.direct.account("ann")
    assert (account.settled, account.held) == (settled, held)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", COMMANDS)
def test_the_retry_after_an_unknown_outcome_tells_the_truth(
    through: Through, name: str, place: Where
) -> None:
    make, settled, held = COMMANDS[name]
    submission = make()
    through.proxy.cut(place, then_refuse=True)
    with pytest.raises(LedgerUnavailableError):
        through.ledger.record(submission)
    with pytest.raises(LedgerUnavailableError):
        through.ledger.record(submission)
    through.proxy.allow()
    if place == "after" and name == "grant with a reference":
        with pytest.raises(ReferenceUsedError):  # without a key, that is all that can be said
            through.ledger.record(submission)
        ann = through.ledger.account("ann")
        outcome = Outcome(tuple(whole_log(through.url)[BEFORE:]), ann.settled, ann.held)
    elif place == "after" and name == "grant":
        return  # with neither key nor reference each is a new one, and no caller may repeat it
    else:
        outcome = through.ledger.record(submission)
        assert outcome.replayed is (place == "after")
    check_recorded_once(through, outcome, settled, held)


@pytest.mark.parametrize("place", PLACES)
def test_also_from_another_process(through: Through, place: Where) -> None:
    submission = keyed(request(10, FRESH), "k")
    through.proxy.cut(place, then_refuse=True)
    with pytest.raises(LedgerUnavailableError):
        through.ledger.record(submission)
    elsewhere = keyed(request(10, new_id()), "k", given=submission.command)
    outcome = through.direct.record(elsewhere)
    assert outcome.replayed is (place == "after")
    through.proxy.allow()
    again = through.ledger.record(submission)
    assert again.replayed
    assert again.entries == outcome.entries
    with pytest.raises(KeyReusedError):
        through.ledger.record(keyed(request(9, FRESH), "k"))
    check_recorded_once(through, outcome, 14, 14)


def test_another_ending_may_have_come_first_meanwhile(through: Through) -> None:
    through.proxy.cut("before", then_refuse=True)
    with pytest.raises(LedgerUnavailableError):
        through.ledger.record(plain(settle(HELD)))
    canceled = through.direct.record(plain(release(HELD)))
    through.proxy.allow()
    late = through.ledger.record(plain(settle(HELD)))
    assert late.replayed
    assert late.entries == canceled.entries
    assert isinstance(late.entries[0].fact, GenerationFailed)
    check_recorded_once(through, canceled, 14, 0)


CUTS: list[tuple[Where | None, ...]] = [
    *((place,) for place in PLACES),
    ("after", "before"),
    ("after", "after"),
    ("before", "after"),
    ("half", "half"),
]


@pytest.mark.parametrize("others", [False, True], ids=["alone", "others write"])
@pytest.mark.parametrize("cuts", CUTS, ids="-".join)
def test_a_batch_of_several(
    through: Through,
    cuts: tuple[Where, ...],
    others: bool,  # noqa: FBT001 - a parameter
) -> None:
    if others:
        through.direct.record(plain(opening("bob")))
    through.proxy.cut(None, *cuts)  # what keeps the committer busy commits first
    results = in_one_batch(
        through.ledger,
        through.url,
        [
            keyed(request(5, FRESH), "k"),
            keyed(request(5, new_id()), "k", given=request(5, FRESH)),
            plain(request(600, new_id())),
            plain(settle(HELD)),
            plain(release(HELD)),
            plain(grant(2, reference="order")),
            plain(grant(2, reference="order")),
            plain(grant(1)),
            keyed(grant(1), "k", beside=(BESIDE,)),
            plain(opening("eve", tokens=3)),
        ],
    )
    assert through.proxy.cuts == len(cuts)
    assert [
        ("again " if result.replayed else "")
        + "+".join(type(e.fact).__name__ for e in result.entries)
        if isinstance(result, Outcome)
        else type(result).__name__
        for result in results
    ] == [
        "GenerationRequested",
        "again GenerationRequested",
        InsufficientTokensError.__name__,
        "TokensConsumed",
        "again TokensConsumed",
        "TokensGranted",
        ReferenceUsedError.__name__,
        "TokensGranted",
        "TokensGranted",
        "AccountOpened+TokensGranted",
    ]
    fresh = [r.entries for r in results if isinstance(r, Outcome) and not r.replayed]
    log = [entry for entry in whole_log(through.url) if entry.account_id in {"ann", "eve"}]
    assert list(chain.from_iterable(fresh)) == log[BEFORE:]
    account = through.ledger.account("ann")
    assert (account.settled, account.held) == (14, 5)
    with psycopg.connect(through.url) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)


def test_a_batch_whose_outcome_stays_unknown(through: Through) -> None:
    submissions = [keyed(request(1, new_id()), f"k{number}") for number in range(8)]
    through.proxy.cut(None, "after", then_refuse=True)
    results = in_one_batch(through.ledger, through.url, submissions)
    assert {type(result) for result in results} == {LedgerUnavailableError}
    through.proxy.allow()
    outcomes = [through.ledger.record(submission) for submission in submissions]
    assert all(outcome.replayed for outcome in outcomes)
    log = [entry for entry in whole_log(through.url) if entry.account_id == "ann"]
    assert [outcome.entries[0] for outcome in outcomes] == log[BEFORE:]


def test_reading_goes_on_after_lost_connections(through: Through) -> None:
    assert through.ledger.account("ann").settled == 14
    through.proxy.drop_all()
    assert through.ledger.account("ann").settled == 14
    through.proxy.drop_all()
    assert through.ledger.record(plain(grant(1))).settled == 15
