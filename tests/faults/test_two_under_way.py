"""Two batches at the server at once: the second falls with the first, and never stands without it.

The server goes from one to the other without asking us, so each way in which the first can be lost
is tried with the second waiting behind it.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import structlog

import ledger.recording
from cutting_proxy import CuttingProxy, Where
from databases import Database
from ledger.batch import Outcome
from ledger.commands import Beside
from ledger.identity import new_id
from ledger.ledger import Ledger
from ledger.recording import Recording
from ledger.session import ANSWER_SECONDS_MAX
from ledger_running import running, wait_until, whole_log, writers_locked
from ledger_samples import grant, keyed, opening, plain, request
from two_batches import SECOND, decided, make_ready, two_under_way

BEFORE = 4  # facts
KILL = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'mintage committer'"""
NOTE = "INSERT INTO notes (id, account_id, actor, text) VALUES (%s, %s, %s, %s)"
PLANS: list[list[Where | None]] = [["after"], [None, "before"], [None, "half"], [None, "after"]]
"""Which of the two commits does not reach the server, or is not heard of."""


@pytest.fixture
def alone(database: Database) -> Iterator[Ledger]:
    with running(database.url) as each:
        each.record(plain(opening(tokens=20)))
        make_ready(each)
        yield each


def results(futures: "list[Future[Outcome]]") -> list[Outcome]:
    return [future.result(30) for future in futures]


def check(database: Database, outcomes: list[Outcome], *, settled: int) -> None:
    """Each is in the log as its caller was told, once, in the order in which they were asked."""
    log = whole_log(database.url)
    assert [entry for outcome in outcomes for entry in outcome.entries] == log[BEFORE:]
    assert not any(outcome.replayed for outcome in outcomes)
    assert log[-1].settled == settled


def test_they_are_written_in_order(database: Database, alone: Ledger) -> None:
    grants = [keyed(grant(number), str(number)) for number in range(1, SECOND + 1)]
    with two_under_way(alone, database.url, plain(grant(100)), grants) as futures:
        pass
    check(database, results(futures), settled=22 + 100 + sum(range(SECOND + 1)))


def test_the_second_is_not_written_without_the_first(database: Database, alone: Ledger) -> None:
    """Which repeats what is in the log, so that its positions stay free."""
    repeated = alone.record(keyed(grant(7), "k"))
    grants = [plain(grant(1)) for _ in range(SECOND)]
    with two_under_way(alone, database.url, keyed(grant(7), "k"), grants) as futures:
        pass
    again, *rest = results(futures)
    assert again.replayed
    assert again.entries == repeated.entries
    check(database, [repeated, *rest], settled=22 + 7 + SECOND)


def test_nor_on_what_another_process_has_put_there(database: Database, alone: Ledger) -> None:
    """As much as the first was to write, so that the second's own positions are free."""
    with running(database.url) as other:
        other.record(plain(opening("bob")))
        alone.record(plain(grant(1)))
        alone.record(plain(grant(1)))
        before = len(whole_log(database.url))
        asked = [plain(request(1, new_id())) for _ in range(SECOND)]
        with two_under_way(alone, database.url, plain(grant(5)), asked) as futures:
            _put_before(database, alone)
        outcomes = results(futures)
    log = whole_log(database.url)
    assert log[before].account_id == "eve"
    assert [entry for each in outcomes for entry in each.entries] == log[before + 1 :]
    assert (log[-1].settled, log[-1].held) == (29, SECOND)


def _put_before(database: Database, ledger: Ledger) -> None:
    """Append a fact of another account where the first batch is to begin.

    Under the lock that keeps both waiting, which somebody else holds.
    """
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(
            """INSERT INTO ledger_events
               (position, account_id, version, topic, at, actor, fact_id, settled, held, data)
               SELECT position + 1, 'eve', 1, 'account_opened:1', at, 'test', gen_random_uuid(),
                      0, 0, '{"is_member": false}'
               FROM ledger_events ORDER BY position DESC LIMIT 1"""
        )
    assert len(ledger.committer._pipeline._writing) == 2


def test_the_session_is_lost(database: Database, alone: Ledger) -> None:
    grants = [plain(grant(1)) for _ in range(SECOND)]
    with (
        two_under_way(alone, database.url, plain(grant(100)), grants) as futures,
        psycopg.connect(database.url, autocommit=True) as connection,
    ):
        connection.execute(KILL.encode())
    check(database, results(futures), settled=22 + 100 + SECOND)


@pytest.mark.parametrize("plan", PLANS)
def test_an_answer_is_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch, plan: list[Where | None]
) -> None:
    monkeypatch.setattr(ledger.recording, "RETRY_SECONDS", 0.01)
    with CuttingProxy(database.url) as proxy, running(proxy.url) as behind:
        behind.record(plain(opening(tokens=20)))
        make_ready(behind)
        grants = [keyed(grant(1), str(number)) for number in range(SECOND)]
        proxy.cut(*plan)
        with two_under_way(behind, database.url, plain(grant(100)), grants) as futures:
            pass
        check(database, results(futures), settled=22 + 100 + SECOND)
        assert proxy.cuts == 1


def test_both_answers_are_heard_at_once(
    database: Database, alone: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing wakes us for the second."""
    session = alone.committer._pipeline._recording.session
    assert session is not None
    has_come = session.answers.has_come

    def late() -> bool:
        wait_until(lambda: len(whole_log(database.url)) == BEFORE + 1 + SECOND, "both written")
        time.sleep(0.1)  # the second is told of, too
        return has_come()

    grants = [plain(grant(1)) for _ in range(SECOND)]
    with two_under_way(alone, database.url, plain(grant(100)), grants) as futures:
        monkeypatch.setattr(session.answers, "has_come", late)
    outcomes = [future.result(ANSWER_SECONDS_MAX / 2) for future in futures]
    check(database, outcomes, settled=22 + 100 + SECOND)


def test_what_brings_statements_along_is_sent_alone(database: Database, alone: Ledger) -> None:
    ids = [uuid4() for _ in range(SECOND)]
    pipeline = alone.committer._pipeline
    with structlog.testing.capture_logs() as logs, ThreadPoolExecutor(1 + SECOND) as callers:
        with writers_locked(database.url):
            futures = [callers.submit(alone.record, plain(grant(100)))]
            wait_until(lambda: len(pipeline._writing) == 1, "a batch under way")
            for number, note_id in enumerate(ids, 1):
                beside = Beside(NOTE, (note_id, "ann", "test", "why"))
                futures.append(callers.submit(alone.record, plain(grant(1), beside)))
                wait_until(lambda: decided(alone) == number, "a command decided")  # noqa: B023 - called at once
            assert pipeline.is_full()
            assert len(pipeline._writing) == 1
        outcomes = results(futures)
    check(database, outcomes, settled=22 + 100 + SECOND)
    with psycopg.connect(database.url) as connection:
        assert {each for (each,) in connection.execute("SELECT id FROM notes")} == set(ids)
    assert logs == []


def test_readers_never_meet_a_gap(
    database: Database, alone: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many batches are at the server."""
    over = threading.Event()
    gaps: list[tuple[int, int]] = []
    seen = 0

    def read() -> None:
        nonlocal seen
        with psycopg.connect(database.url, autocommit=True) as connection:
            while not over.is_set():
                count, last = connection.execute(
                    "SELECT count(*), max(position) FROM ledger_events"
                ).fetchone() or (0, 0)
                seen += 1
                if count != last:
                    gaps.append((count, last))

    at_once = set[int]()
    send = Recording.send

    def watched(recording: Recording, ahead: Any, before: Any = None) -> None:
        at_once.add(len(alone.committer._pipeline._writing))
        send(recording, ahead, before)

    monkeypatch.setattr(Recording, "send", watched)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        outcomes = spend(alone)
        wait_until(lambda: seen > 20, "a reader")
    finally:
        over.set()
        reader.join()
    assert gaps == []
    assert at_once == {1, 2}  # else nothing was shown
    assert len(whole_log(database.url)) == BEFORE + outcomes


def spend(ledger: Ledger, callers: int = 64, each: int = 30) -> int:
    """Many callers at once; how much they have recorded."""

    async def caller() -> None:
        for _ in range(each):
            await ledger.record_async(plain(grant(1)))

    async def main() -> None:
        await asyncio.gather(*(caller() for _ in range(callers)))

    asyncio.run(main())
    return callers * each
