"""An event loop takes the committer's steps; whatever becomes of it, nothing is lost or doubled."""

import asyncio
import errno
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest
import uvloop

import ledger.committer
import ledger.pipeline
import ledger.recording
import ledger.session
from databases import Database
from ledger import metrics
from ledger.batch import Outcome
from ledger.commands import Submission
from ledger.committer import Committer
from ledger.errors import InsufficientTokensError, LedgerBusyError, LedgerUnavailableError
from ledger.identity import new_id
from ledger.ledger import Ledger
from ledger_running import (
    WAIT_SECONDS_MAX,
    result_of,
    running,
    wait_until,
    whole_log,
    writers_locked,
)
from ledger_samples import grant, keyed, opening, plain, request

NewLoop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(name="new_loop", params=[asyncio.new_event_loop, uvloop.new_event_loop])
def new_loop_fixture(request: pytest.FixtureRequest) -> NewLoop:
    made: NewLoop = request.param
    return made


@pytest.fixture(name="alone")
def alone_fixture(database: Database) -> Iterator[Ledger]:
    """It has written alone, and so decides ahead; `ann` has 100 tokens."""
    with running(database.url) as alone:
        alone.record(plain(opening(tokens=100)))
        for _ in range(2):
            alone.record(plain(request(0, new_id())))
        yield alone


class Steps:
    """Which threads a committer's steps were taken by, and its jobs done by."""

    def __init__(self, committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: set[threading.Thread] = set()
        self.jobs: list[threading.Thread] = []
        self._committer = committer
        step, do = committer._pipeline.step, committer._do

        def noted_step(*arguments: object, **options: bool) -> bool:
            self.steps.add(threading.current_thread())
            return step(*arguments, **options)  # type: ignore[arg-type]

        def noted_job(job: ledger.pipeline.Job) -> None:
            self.jobs.append(threading.current_thread())
            do(job)

        monkeypatch.setattr(committer._pipeline, "step", noted_step)
        monkeypatch.setattr(committer, "_do", noted_job)

    @property
    def by_thread(self) -> bool:
        return self._committer._thread in self.steps


def run(new_loop: NewLoop, main: "asyncio._CoroutineLike[object]") -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(main, WAIT_SECONDS_MAX))


async def until(reached: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, reached, what)


def asked(alone: Ledger, submission: Submission) -> "asyncio.Task[Outcome]":
    return asyncio.ensure_future(alone.record_async(submission))


def cut_off(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'mintage committer' AND datname = current_database()"
        )


def numbers(url: str) -> list[tuple[int, int]]:
    return [(entry.settled, entry.held) for entry in whole_log(url)]


def test_what_needs_no_reading_is_recorded_on_the_loop_alone(
    alone: Ledger, database: Database, new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        with alone.on_loop():
            await until(lambda: alone.committer._pipeline.job is None, "no job")
            steps = Steps(alone.committer, monkeypatch)
            for _ in range(3):
                outcomes = await asyncio.gather(*(asked(alone, plain(grant(1))) for _ in range(99)))
                assert all(outcome.entries for outcome in outcomes)
            assert steps.steps == {threading.current_thread()}
            assert not steps.jobs
        assert (await alone.record_async(plain(grant(1)))).settled == 100 + 3 * 99 + 1
        assert steps.by_thread

    run(new_loop, main())
    assert [settled for settled, _ in numbers(database.url)[4:]] == list(range(101, 399))


def test_what_has_to_be_read_for_is_done_by_the_thread_and_the_loop_goes_on(
    alone: Ledger, database: Database, new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is called for a job, and does not find it when it looks around.
    monkeypatch.setattr(ledger.committer, "LOOK_SECONDS", 10 * WAIT_SECONDS_MAX)

    async def main() -> None:
        with alone.on_loop():
            steps = Steps(alone.committer, monkeypatch)
            with writers_locked(database.url):
                ahead = asked(alone, plain(grant(1)))
                await until(lambda: alone.committer._pipeline._writing, "a write under way")
                since = asked(alone, plain(grant(2)))
                cold = asked(alone, plain(opening("bob", tokens=5)))
                refused = asked(alone, plain(request(1_000, new_id())))
                after = asked(alone, plain(grant(4)))
                await until(lambda: len(alone.committer._pipeline._slow) == 3, "what is read for")
            assert (await ahead).settled == 101
            assert (await since).settled == 103
            assert (await cold).settled == 5
            with pytest.raises(InsufficientTokensError):
                await refused
            assert (await after).settled == 107
            assert steps.jobs == [alone.committer._thread]
            assert (await alone.record_async(plain(grant(1)))).settled == 108
            assert steps.jobs == [alone.committer._thread]
            assert not steps.by_thread

    run(new_loop, main())
    assert len(whole_log(database.url)) == 4 + 2 + 2 + 2


def test_the_loop_stands_still_for_nobody_who_holds_the_writers_lock(
    alone: Ledger, database: Database, new_loop: NewLoop
) -> None:
    async def main() -> None:
        with alone.on_loop():
            with writers_locked(database.url):
                slow = asked(alone, plain(opening("bob")))
                await until(lambda: alone.committer._pipeline.job, "the thread at work")
                behind = asked(alone, plain(grant(1)))
                await until(lambda: alone.committer._pipeline.waiting, "the queue")
                assert not slow.done()
            assert (await slow).entries
            assert (await behind).settled == 101

    run(new_loop, main())


def test_a_lost_connection_is_made_again_and_the_truth_told(
    alone: Ledger, database: Database, new_loop: NewLoop
) -> None:
    async def main() -> None:
        with alone.on_loop():
            for number in range(3):
                with writers_locked(database.url):
                    first = asked(alone, keyed(grant(1), f"{number} first"))
                    await until(lambda: alone.committer._pipeline._writing, "a write under way")
                    since = asked(alone, plain(request(1, new_id())))
                    await until(lambda: alone.committer._pipeline._ahead, "what stands on it")
                    cut_off(database)
                told = await first
                assert (told.settled, told.replayed) == (101 + number, False)
                assert (await since).held == 1 + number
            assert (await alone.record_async(plain(grant(1)))).settled == 104

    run(new_loop, main())
    assert len(whole_log(database.url)) == 4 + 2 * 3 + 1


def test_a_connection_that_ends_while_nothing_is_asked_costs_the_loop_nothing(
    alone: Ledger, database: Database, new_loop: NewLoop
) -> None:
    async def main() -> None:
        with alone.on_loop():
            await alone.record_async(plain(grant(1)))
            loop_bell = alone.committer._loop_bell
            assert loop_bell is not None
            (watching,) = loop_bell._watching.values()
            assert watching.events
            cut_off(database)
            await until(lambda: not watching.events, "that it is not listened to any more")
            assert (await alone.record_async(plain(grant(1)))).settled == 102

    run(new_loop, main())


def test_a_silent_server_counts_as_lost(
    alone: Ledger, database: Database, new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger.session, "ANSWER_SECONDS_MAX", 0.5)

    def lost() -> float:
        return float(metrics.LOST_CONNECTIONS._value.get())

    async def main() -> None:
        with alone.on_loop(), psycopg.connect(database.owner_url) as owner:
            before = lost()
            owner.execute("LOCK TABLE ledger_events IN ACCESS EXCLUSIVE MODE")
            asking = asked(alone, keyed(request(5, new_id()), "k"))
            await until(lambda: lost() > before, "that it counts as lost")
            owner.rollback()
            assert ((await asking).held, (await asking).replayed) == (5, False)

    run(new_loop, main())
    assert len(whole_log(database.url)) == 4 + 1


def test_a_batch_that_the_network_does_not_take_at_once_keeps_no_loop_waiting(
    alone: Ledger, database: Database, new_loop: NewLoop
) -> None:
    """A stopped server reads nothing, and its socket is full long before the end."""
    pipeline = alone.committer._pipeline
    text = "x" * 50_000

    async def main() -> None:
        with alone.on_loop():
            session = pipeline._recording.session
            assert session is not None
            backend = session.connection.info.backend_pid
            os.kill(backend, signal.SIGSTOP)
            try:
                asking = [asked(alone, plain(grant(1, reference=f"{n}{text}"))) for n in range(200)]
                await until(lambda: pipeline._writing, "a write under way")
                assert session.answers.events & select.POLLOUT
            finally:
                os.kill(backend, signal.SIGCONT)
            await asyncio.gather(*asking)
            assert pipeline._recording.session is session

    run(new_loop, main())
    assert len(whole_log(database.url)) == 4 + 200


def test_threads_and_other_loops_ask_a_loop_that_records(
    alone: Ledger, database: Database, new_loop: NewLoop
) -> None:
    each = 50

    async def many() -> list[Outcome]:
        return await asyncio.gather(*(asked(alone, plain(grant(1))) for _ in range(each)))

    async def main() -> None:
        with alone.on_loop(), ThreadPoolExecutor(9) as threads:
            calls = [threads.submit(alone.record, plain(grant(1))) for _ in range(each)]
            elsewhere = threads.submit(asyncio.run, many())
            found = await many()
            found = [*found, *await asyncio.wrap_future(elsewhere)]
            found += [await asyncio.wrap_future(call) for call in calls]
            assert {e.settled for e in found} == set(range(101, 101 + 3 * each))

    run(new_loop, main())
    assert len(whole_log(database.url)) == 4 + 3 * each


def test_a_full_queue_takes_no_more(
    alone: Ledger, database: Database, new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        with alone.on_loop():
            with writers_locked(database.url):
                plug = asked(alone, plain(opening("bob")))
                await until(lambda: alone.committer._pipeline.job, "the thread at work")
                monkeypatch.setattr(ledger.pipeline, "WAITING_MAX", 5)
                asking = [asked(alone, plain(grant(1))) for _ in range(8)]
                await until(lambda: len(alone.committer._pipeline.waiting) == 5, "a full queue")
                with pytest.raises(LedgerBusyError):
                    await asyncio.to_thread(alone.record, plain(grant(1)))
            results = await asyncio.gather(*asking, return_exceptions=True)
            assert [type(result) for result in results] == [Outcome] * 5 + [LedgerBusyError] * 3
            await plug
            assert (await alone.record_async(plain(grant(1)))).settled == 106

    run(new_loop, main())
    assert len(whole_log(database.url)) == 4 + 1 + 6


@pytest.mark.parametrize("where", ["on the loop", "in a thread"])
def test_closing_records_what_waits(
    alone: Ledger, database: Database, new_loop: NewLoop, where: str
) -> None:
    async def main() -> None:
        with alone.on_loop():
            asking = [asked(alone, plain(grant(1))) for _ in range(20)]
            cold = asked(alone, plain(opening("bob")))
            await asyncio.sleep(0)  # they have asked; nothing is answered yet
            asking += [asked(alone, plain(grant(1)))]
            await asyncio.sleep(0)
            if where == "on the loop":
                alone.close()
            else:
                await asyncio.to_thread(alone.close)
            results = await asyncio.gather(*asking, cold, return_exceptions=True)
            assert {type(result) for result in results} <= {Outcome, LedgerBusyError}
            recorded = [result for result in results if isinstance(result, Outcome)]
            assert len(recorded) >= 20
            assert len(whole_log(database.url)) == 4 + len(recorded)
            with pytest.raises(LedgerBusyError):
                await alone.record_async(plain(grant(1)))
            alone.close()
        alone.close()

    run(new_loop, main())


def test_a_loop_that_ends_without_leaving_leaves_all_to_the_thread(
    alone: Ledger, database: Database, new_loop: NewLoop
) -> None:
    async def main() -> "asyncio.Task[Outcome]":
        entered.__enter__()
        asking = asked(alone, plain(grant(1)))
        await until(lambda: alone.committer._pipeline._writing, "a write under way")
        return asking

    entered = alone.on_loop()
    loop = new_loop()
    with writers_locked(database.url):
        asking = loop.run_until_complete(main())
        asking.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    assert alone.record(plain(grant(1))).settled == 102
    alone.close()
    alone.close()
    assert len(whole_log(database.url)) == 4 + 2


def test_a_loop_that_only_stands_still_may_go_on_beside_the_thread(
    alone: Ledger, database: Database, new_loop: NewLoop
) -> None:
    async def main() -> int:
        return (await alone.record_async(plain(grant(1)))).settled

    async def enter() -> None:
        entered.__enter__()

    entered = alone.on_loop()
    loop = new_loop()
    loop.run_until_complete(enter())
    assert alone.record(plain(grant(1))).settled == 101
    assert loop.run_until_complete(main()) == 102
    assert alone.committer._loop_bell is None
    loop.close()
    assert len(whole_log(database.url)) == 4 + 2


def test_closing_after_the_loop_has_ended_records_what_waits(
    alone: Ledger, database: Database, new_loop: NewLoop
) -> None:
    async def enter() -> None:
        entered.__enter__()
        await until(lambda: not alone.committer._pipeline.job, "no job")

    entered = alone.on_loop()
    loop = new_loop()
    loop.run_until_complete(enter())
    loop.close()
    with ThreadPoolExecutor(2) as threads, writers_locked(database.url):
        waits: Future[Outcome] = threads.submit(alone.record, plain(grant(1)))
        wait_until(
            lambda: alone.committer._pipeline.waiting or alone.committer._pipeline._writing,
            "a command that waits",
        )
        closed = threads.submit(alone.close)
        wait_until(lambda: alone.committer._pipeline.closing, "the end mark")
    closed.result(WAIT_SECONDS_MAX)
    outcome = result_of(waits)
    assert isinstance(outcome, Outcome)
    assert outcome.settled == 101
    assert len(whole_log(database.url)) == 4 + 1


def test_a_loop_that_waits_for_one_command_does_not_wait_for_ever(
    alone: Ledger, new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        with alone.on_loop():
            assert alone.record(plain(grant(1))).settled == 101
            steps = Steps(alone.committer, monkeypatch)
            assert (await alone.record_async(plain(grant(1)))).settled == 102
            assert threading.current_thread() in steps.steps

    run(new_loop, main())


def test_one_loop_at_a_time(alone: Ledger, new_loop: NewLoop) -> None:
    async def other() -> None:
        with pytest.raises(RuntimeError, match="already"), alone.on_loop():
            raise AssertionError

    async def main() -> None:
        with alone.on_loop():
            await asyncio.to_thread(asyncio.run, other())
            assert (await alone.record_async(plain(grant(1)))).settled == 101
        with alone.on_loop():
            assert (await alone.record_async(plain(grant(1)))).settled == 102

    run(new_loop, main())


def test_without_a_descriptor_to_watch_the_thread_goes_on(
    alone: Ledger, new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    async def main() -> None:
        monkeypatch.setattr(os, "dup", none_left)
        with alone.on_loop():
            asked = (alone.record_async(plain(request(1, new_id()))) for _ in range(20))
            outcomes = await asyncio.wait_for(asyncio.gather(*asked), WAIT_SECONDS_MAX)
            assert sorted(outcome.held for outcome in outcomes) == list(range(1, 21))

    run(new_loop, main())


def test_work_that_fails_is_told_and_the_next_is_done(
    alone: Ledger, new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[object]:
        raise RuntimeError("out of luck")

    async def main() -> None:
        with alone.on_loop():
            with monkeypatch.context() as patched:
                patched.setattr(ledger.recording.Recording, "record", fail)
                with pytest.raises(LedgerUnavailableError):
                    await alone.record_async(plain(grant(1, "nobody")))
            await alone.record_async(plain(grant(1)))

    run(new_loop, main())
