"""The group committer on a real PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import psycopg
import pytest
import structlog.testing

import ledger.pipeline
import ledger.recording
from databases import Database
from ledger import snapshots
from ledger.account import Account
from ledger.batch import Outcome
from ledger.commands import Beside, ChangeMembership, Submission
from ledger.committer import Committer
from ledger.errors import (
    AccountNotFoundError,
    AmountOutOfRangeError,
    BesideConflictError,
    InsufficientTokensError,
    KeyReusedError,
    LedgerBusyError,
    LedgerError,
    LedgerUnavailableError,
    UnstorableTextError,
)
from ledger.facts import GenerationFailed, TokensConsumed
from ledger.identity import new_id
from ledger.ledger import Ledger
from ledger.metrics import BATCH_COMMANDS
from ledger.pipeline import BATCH_MAX
from ledger_running import (
    STEPS_BY,
    WAIT_SECONDS_MAX,
    in_one_batch,
    plugged,
    result_of,
    running,
    steps_by,
    wait_until,
    whole_log,
    writers_locked,
)
from ledger_samples import grant, keyed, opening, plain, prompt, release, request, settle

NOTES = "INSERT INTO notes (id, account_id, actor, text) VALUES (%s, %s, %s, %s)"
PROFILES = "INSERT INTO profiles (account_id, email) VALUES (%s, %s)"


@pytest.fixture(autouse=True, params=STEPS_BY)
def _steps(request: pytest.FixtureRequest) -> Iterator[None]:
    with steps_by(request.param):
        yield


def note(text: str, note_id: UUID | None = None) -> Beside:
    return Beside(NOTES, (note_id or new_id(), "ann", "test", text))


def opened(ledger: Ledger, account_id: str = "ann", tokens: int = 0) -> None:
    ledger.record(plain(opening(account_id, tokens=tokens)))


def batches() -> float:
    return sum(s.value for m in BATCH_COMMANDS.collect() for s in m.samples if "count" in s.name)


def test_threads_and_event_loops_share_batches(database: Database) -> None:
    each, callers = 10, 16

    async def many(ledger: Ledger, actor: str) -> list[Outcome]:
        return await asyncio.gather(
            *(
                ledger.record_async(Submission(command=grant(1), actor=actor))
                for _ in range(each * callers)
            )
        )

    with running(database.url) as ledger, ThreadPoolExecutor(callers + 2) as threads:
        opened(ledger)
        before = batches()
        loops = [threads.submit(asyncio.run, many(ledger, f"loop {i}")) for i in range(2)]
        calls = [threads.submit(ledger.record, plain(grant(1))) for _ in range(each * callers)]
        outcomes = [outcome for loop in loops for outcome in loop.result(WAIT_SECONDS_MAX)]
        outcomes += [call.result(WAIT_SECONDS_MAX) for call in calls]
        assert batches() - before < len(outcomes) / 2
        assert ledger.account("ann").settled == len(outcomes) == 3 * each * callers
    entries = whole_log(database.url)
    assert {outcome.entries[0] for outcome in outcomes} == set(entries[1:])


def test_a_batch_is_bounded_and_in_the_order_of_coming(database: Database) -> None:
    async def many(ledger: Ledger) -> None:
        with plugged(ledger, database.url):
            asked = [
                asyncio.ensure_future(ledger.record_async(plain(grant(number))))
                for number in range(1, 2 * BATCH_MAX + 101)
            ]
            await asyncio.sleep(0)
        await asyncio.gather(*asked)

    with running(database.url) as ledger:
        opened(ledger)
        asyncio.run(many(ledger))
    grants = [entry for entry in whole_log(database.url) if entry.settled]
    amounts = [later.settled - earlier.settled for earlier, later in pairwise(grants)]
    assert amounts == list(range(2, 2 * BATCH_MAX + 101))
    sizes = Counter(entry.at for entry in grants)
    assert list(sizes.values()) == [BATCH_MAX, BATCH_MAX, 100]


def test_each_command_sees_what_those_before_it_in_the_batch_led_to(database: Database) -> None:
    first, second = new_id(), new_id()
    with running(database.url) as ledger:
        opened(ledger, tokens=5)
        results = in_one_batch(
            ledger,
            database.url,
            [
                plain(request(5, first)),
                plain(request(1, second)),
                plain(settle(first)),
                plain(release(first)),
                plain(grant(1)),
                plain(request(1, second)),
                keyed(grant(7), "k"),
                keyed(grant(7), "k"),
                keyed(grant(8), "k"),
            ],
        )
    told = [
        "replayed"
        if isinstance(result, Outcome) and result.replayed
        else (type(result.entries[0].fact) if isinstance(result, Outcome) else type(result))
        for result in results
    ]
    assert [kind if isinstance(kind, str) else kind.__name__ for kind in told] == [
        "GenerationRequested",
        "InsufficientTokensError",
        "TokensConsumed",
        "replayed",
        "TokensGranted",
        "GenerationRequested",
        "TokensGranted",
        "replayed",
        "KeyReusedError",
    ]
    assert len({entry.at for entry in whole_log(database.url)[-4:]}) == 1


BAD = {
    "refused": (plain(request(1_000)), InsufficientTokensError),
    "no such account": (plain(grant(1, "nobody")), AccountNotFoundError),
    "a name that cannot be": (plain(grant(1, "a,b")), AccountNotFoundError),
    "opened under one": (plain(opening("a b")), UnstorableTextError),
    "a NUL in a fact": (plain(grant(1, reference="a\0b")), UnstorableTextError),
    "half of a pair in a fact": (plain(grant(1, reference="\ud83d")), UnstorableTextError),
    "a NUL in a note": (plain(grant(1), note("a\0b")), UnstorableTextError),
    "half of a pair in a note": (plain(grant(1), note("\ud83d")), UnstorableTextError),
    "a note that is refused": (plain(grant(1), note("")), LedgerError),
    "a table that is not there": (plain(grant(1), Beside("DELETE FROM nothing", ())), LedgerError),
    "no SQL at all": (plain(grant(1), Beside("what?", ())), LedgerError),
    "a parameter too few": (plain(grant(1), Beside("SELECT %s", ())), LedgerError),
    "a right that we lack": (plain(grant(1), Beside("DELETE FROM ledger_events", ())), LedgerError),
    "an amount that is none": (plain(grant(None)), LedgerError),  # type: ignore[arg-type]
    "a number beyond JSON's": (plain(request(1, count=2**70)), AmountOutOfRangeError),
    "a reference that is none": (plain(grant(1, reference=object())), LedgerError),  # type: ignore[arg-type]
    "a parameter that is none": (plain(grant(1), Beside("SELECT %s", (object(),))), LedgerError),
    "an e-mail that is taken": (
        plain(opening("bob"), Beside(PROFILES, ("bob", "ann@example.com"))),
        BesideConflictError,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_command_sinks_alone(database: Database, name: str) -> None:
    bad, refusal = BAD[name]
    fine = new_id()
    with running(database.url) as ledger:
        ledger.record(plain(opening(tokens=9), Beside(PROFILES, ("ann", "ann@example.com"))))
        results = in_one_batch(
            ledger,
            database.url,
            [plain(grant(1), note("before")), bad, plain(grant(2), note("after", fine))],
        )
        assert isinstance(results[0], Outcome)
        assert type(results[1]) is refusal
        assert isinstance(results[2], Outcome)
        assert ledger.account("ann").settled == 12
        assert not ledger.account("bob").is_open
        if isinstance(results[1], BesideConflictError):
            assert results[1].constraint == "profiles_email_key"
        again = ledger.record(plain(grant(1)))  # the committer lives on
        assert again.settled == 13
    assert "\n" not in str(results[1])  # as the driver's words would have
    whole_log(database.url)
    with psycopg.connect(database.url) as connection:
        texts = connection.execute("SELECT text FROM notes ORDER BY text").fetchall()
    assert texts == [("after",), ("before",)]


def test_what_stands_beside_arrives_as_it_was_given(database: Database) -> None:
    text = "it's 100% \\ \"x\" %s {a} $1; COMMIT; -- 名🎨\n/* */ \\' E'\\n'"
    note_id = new_id()
    with running(database.url) as ledger:
        ledger.record(plain(opening(), note(text, note_id)))
        replay = keyed(grant(1), "k", beside=(note("once"),))
        ledger.record(replay)
        ledger.record(replay)
    with psycopg.connect(database.url) as connection:
        found = connection.execute("SELECT text FROM notes WHERE id = %s", [note_id]).fetchone()
        assert found == (text,)
        once = connection.execute("SELECT count(*) FROM notes WHERE text = 'once'").fetchone()
        assert once == (1,)


def test_nothing_needed_doing(database: Database) -> None:
    with running(database.url) as ledger:
        opened(ledger)
        outcome = ledger.record(plain(ChangeMembership(account_id="ann", is_member=False)))
        assert (outcome.entries, outcome.replayed) == ((), False)
        assert ledger.head() == 1


def test_two_processes_on_the_hottest_account(database: Database) -> None:
    """No conflict reaches a caller, and the accounts' numbers are those of one order."""
    rounds, callers = 15, 6

    def spend(ledger: Ledger) -> int:
        accepted = 0
        for _ in range(rounds):
            generation_id = new_id()
            try:
                ledger.record(plain(request(3, generation_id)))
            except InsufficientTokensError:
                continue
            accepted += 1
            ending = settle(generation_id) if accepted % 2 else release(generation_id)
            assert not ledger.record(plain(ending)).replayed
        return accepted

    with (
        running(database.url) as one,
        running(database.url) as other,
        ThreadPoolExecutor(2 * callers) as threads,
        structlog.testing.capture_logs() as logs,
    ):
        opened(one, tokens=200)
        calls = [threads.submit(spend, ledger) for _ in range(callers) for ledger in (one, other)]
        accepted = [call.result(60) for call in calls]
        settled = {one.account("ann").settled, other.account("ann").settled}
    entries = whole_log(database.url)
    consumed = sum(e.fact.cost for e in entries if isinstance(e.fact, TokensConsumed))
    ended = sum(isinstance(e.fact, TokensConsumed | GenerationFailed) for e in entries)
    assert ended == sum(accepted)
    assert logs == []  # nothing was lost, nor had to be written singly
    assert settled == {200 - consumed}
    assert entries[-1].held == 0
    assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))


def test_a_strict_default_of_the_server_changes_nothing(database: Database) -> None:
    """Under repeatable read the head would be as of before the lock."""
    strict = f"{database.url}?options=-c%20default_transaction_isolation%3Dserializable"
    with (
        running(strict) as one,
        running(strict) as other,
        ThreadPoolExecutor(8) as threads,
        structlog.testing.capture_logs() as logs,
    ):
        opened(one)
        calls = [
            threads.submit(ledger.record, plain(grant(1)))
            for _ in range(50)
            for ledger in (one, other)
        ]
        assert all(call.result(WAIT_SECONDS_MAX).entries for call in calls)
        assert one.account("ann").settled == 100
    assert logs == []
    whole_log(database.url)


class Counting:
    """A connection that counts the rows that it hands out."""

    def __init__(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        self._connection = connection
        self.rows = 0

    def execute(self, *arguments: object, **options: object) -> object:
        cursor = self._connection.execute(*arguments, **options)  # type: ignore[call-overload]
        self.rows += cursor.rowcount
        return cursor


def load(url: str) -> tuple[Account, int]:
    with psycopg.connect(url, autocommit=True) as connection:
        counting = Counting(connection)
        account = snapshots.load(counting, ["ann"])["ann"]  # type: ignore[arg-type]
    return account, counting.rows


def test_a_cold_account_costs_a_bounded_number_of_rows(database: Database) -> None:
    held = new_id()

    async def many(ledger: Ledger) -> None:
        for _ in range(6):
            await asyncio.gather(*(ledger.record_async(plain(grant(1))) for _ in range(500)))

    with running(database.url) as ledger:
        opened(ledger)
        ledger.record(plain(request(0, held)))
        asyncio.run(many(ledger))
        ledger.record(plain(grant(1)))
        warm = ledger.account("ann")
    with_snapshot, rows = load(database.url)
    assert with_snapshot == warm
    assert with_snapshot.holds == {held: 0}
    assert rows <= 1 + 512 + 500
    with running(database.url) as cold:
        assert cold.record(plain(grant(1))).settled == warm.settled + 1
    with psycopg.connect(database.url) as connection:
        connection.execute("DELETE FROM account_snapshots")
    without, rows = load(database.url)
    assert rows == without.version == warm.version + 1
    assert (without.settled, without.holds, without.pace) == (3_002, warm.holds, warm.pace)


MANY = """
INSERT INTO ledger_events
SELECT (SELECT max(position) FROM ledger_events) + n, 'ann', %(after)s + n, 'tokens_granted:1',
       (SELECT max(at) FROM ledger_events), 'test', gen_random_uuid(), NULL, NULL,
       %(after)s - 1 + n, 0, '{"amount": 1, "reason": "promo"}'
FROM generate_series(1, %(many)s) AS n"""


def test_further_behind_than_one_query_reads(database: Database) -> None:
    with running(database.url) as ledger:
        opened(ledger)
        assert ledger.record(plain(grant(1))).entries[0].version == 2
        with psycopg.connect(database.url) as connection:
            connection.execute(MANY, {"after": 2, "many": 20_050})
        assert ledger.account("ann").settled == 20_051
        assert ledger.record(plain(grant(1))).settled == 20_052
    with running(database.url) as cold:
        assert cold.record(plain(grant(1))).entries[0].version == 20_054
    whole_log(database.url)


def test_a_full_queue_takes_no_more(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger.pipeline, "WAITING_MAX", 5)
    with running(database.url) as busy, ThreadPoolExecutor(5) as threads:
        opened(busy)
        with plugged(busy, database.url):
            taken = [threads.submit(busy.record, plain(grant(1))) for _ in range(5)]
            wait_until(lambda: len(busy.committer._pipeline.waiting) == 5, "a full queue")
            with pytest.raises(LedgerBusyError):
                busy.record(plain(grant(100)))
        assert all(call.result(WAIT_SECONDS_MAX) for call in taken)
        assert busy.record(plain(grant(1))).settled == 6


def test_closing_records_what_waits(database: Database) -> None:
    with running(database.url) as closing, ThreadPoolExecutor(21) as threads:
        opened(closing)
        with plugged(closing, database.url):
            waiting = [threads.submit(closing.record, plain(grant(1))) for _ in range(20)]
            wait_until(lambda: len(closing.committer._pipeline.waiting) == 20, "the queue")
            closed = threads.submit(closing.close)
            wait_until(lambda: closing.committer._pipeline.closing, "the end mark")
            with pytest.raises(LedgerBusyError):
                closing.record(plain(grant(100)))
        closed.result(WAIT_SECONDS_MAX)
        assert sorted(call.result(WAIT_SECONDS_MAX).settled for call in waiting) == list(
            range(1, 21)
        )
    assert len(whole_log(database.url)) == 1 + 1 + 20


def test_nobody_is_left_waiting_by_a_close(database: Database) -> None:
    for _ in range(10):
        committer = Committer(database.url)
        with ThreadPoolExecutor(9) as threads:
            calls = [
                threads.submit(committer.submit, plain(opening(f"a{new_id()}"))) for _ in range(40)
            ]
            threads.submit(committer.close).result(WAIT_SECONDS_MAX)
            results = [result_of(call) for call in calls]
        assert {type(result) for result in results} <= {Outcome, LedgerBusyError}


def test_a_caller_that_hangs_up_changes_nothing(database: Database) -> None:
    async def impatient(patient: Ledger) -> None:
        await asyncio.wait_for(patient.record_async(plain(grant(5))), 0.05)

    async def cancelled_beside_another(patient: Ledger) -> Outcome:
        gone = asyncio.ensure_future(patient.record_async(plain(grant(1))))
        stays = asyncio.ensure_future(patient.record_async(plain(grant(1))))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    with running(database.url) as patient:
        opened(patient)
        with plugged(patient, database.url), pytest.raises(TimeoutError):
            asyncio.run(impatient(patient))  # and its loop is closed when the answer comes
        assert patient.record(plain(grant(1))).settled == 6
        assert asyncio.run(cancelled_beside_another(patient)).settled == 8


def test_time_never_goes_back_in_the_log(database: Database) -> None:
    future = datetime.now(UTC) + timedelta(hours=1)
    with running(database.url) as ledger:
        opened(ledger)
        with psycopg.connect(database.url) as connection:
            connection.execute(
                MANY.replace("(SELECT max(at) FROM ledger_events)", "%(at)s"),
                {"after": 1, "many": 1, "at": future},
            )
        assert ledger.record(plain(grant(1))).entries[0].at == future
        assert ledger.record(plain(grant(1))).entries[0].at == future
    with running(database.url) as ledger:
        assert ledger.record(plain(grant(1))).entries[0].at == future
    whole_log(database.url)


def test_times_are_utc_whatever_the_server_shows(database: Database) -> None:
    elsewhere = f"{database.url}?options=-c%20TimeZone%3DAsia/Shanghai"
    with running(elsewhere) as ledger:
        opened(ledger)
        written = ledger.record(plain(grant(1, reference="r"))).entries[0]
        read = ledger.find(written.fact_id)
        assert read == written
        assert read is not None
        assert read.at.tzinfo is UTC
        assert abs(read.at - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_repetition_is_told_although_others_stand_in_its_batch(database: Database) -> None:
    """Each would be refused by now for another reason, and must be answered from the log."""
    generation_id = new_id()
    paid = keyed(request(9, generation_id), "k")
    with running(database.url) as ledger:
        opened(ledger, tokens=9)
        opened(ledger, "bob")
        first = ledger.record(paid)
        ledger.record(plain(settle(generation_id)))
        for beside in (plain(opening("eve")), plain(grant(1, "bob"))):  # cold, and known
            dearer = request(20, new_id(), prompt=prompt(20), members_only=True)
            results = in_one_batch(
                ledger,
                database.url,
                [
                    beside,
                    keyed(dearer, "k", given=paid.command),
                    keyed(dearer, "k"),
                    plain(request(9, generation_id)),
                ],
            )
            assert isinstance(results[0], Outcome)
            for result in (results[1], results[3]):
                assert isinstance(result, Outcome)
                assert (result.entries, result.replayed) == (first.entries, True)
            assert isinstance(results[2], KeyReusedError)


@pytest.mark.parametrize("ended", [False, True], ids=["open", "ended"])
def test_a_request_is_known_by_its_id_alone(database: Database, *, ended: bool) -> None:
    """Also where there is nothing left to pay it with."""
    generation_id = new_id()
    with running(database.url) as ledger:
        opened(ledger, tokens=9)
        first = ledger.record(plain(request(9, generation_id)))
        if ended:
            ledger.record(plain(settle(generation_id)))
        again = ledger.record(plain(request(9, generation_id)))
        assert (again.entries, again.replayed) == (first.entries, True)
    with running(database.url) as cold:
        assert cold.record(plain(request(9, generation_id))).replayed


def test_unknown_names_and_ids_are_simply_not_there(database: Database) -> None:
    with running(database.url) as ledger:
        assert ledger.head() == 0
        assert ledger.find(new_id()) is None
        assert ledger.ending(new_id()) is None
        for name in ("nobody", "a,b", "a\0b", "", "{}", "\ud83d", "x" * 70):
            assert not ledger.account(name).is_open


def test_a_corrupt_stream_is_told_and_harms_no_other(database: Database) -> None:
    with running(database.url) as ledger:
        opened(ledger)
        opened(ledger, "bob")
        with psycopg.connect(database.url) as connection:
            connection.execute(MANY, {"after": 7, "many": 1})
        results = in_one_batch(ledger, database.url, [plain(grant(1)), plain(grant(1, "bob"))])
        assert type(results[0]).__name__ == "CorruptLogError"
        assert isinstance(results[1], Outcome)


def test_a_lock_that_is_held_too_long_is_not_waited_for_in_vain(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger.recording, "ATTEMPTS_MAX", 1)
    impatient = f"{database.url}?options=-c%20lock_timeout%3D100"
    with running(impatient) as waiting:
        opened(waiting)
        with writers_locked(database.url), pytest.raises(LedgerUnavailableError):
            waiting.record(keyed(grant(1), "k"))
        assert waiting.record(keyed(grant(1), "k")).settled == 1
