"""Real ledgers in tests: opened and closed, and made to take several commands as one batch."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import psycopg

from ledger import log
from ledger.batch import Outcome
from ledger.codec import decode_entry
from ledger.commands import Submission
from ledger.entry import Entry
from ledger.identity import new_id
from ledger.ledger import Ledger
from ledger_samples import grant, opening, plain

WAIT_SECONDS_MAX = 60.0


STEPS_BY = ("a thread", "a loop")
_steps_by = ContextVar("steps by", default="a thread")


@contextmanager
def steps_by(name: str) -> Iterator[None]:
    """While inside, `running` ledgers have their committer's steps taken by one of `STEPS_BY`."""
    token = _steps_by.set(name)
    try:
        yield
    finally:
        _steps_by.reset(token)


@contextmanager
def running(url: str, *, shares_writer: bool = False) -> Iterator[Ledger]:
    ledger = Ledger(url, shares_writer=shares_writer)
    try:
        with nullcontext() if _steps_by.get() == "a thread" else _on_a_loop(ledger):
            yield ledger
    finally:
        ledger.close()


@contextmanager
def deciding_ahead(url: str, steps: str) -> Iterator[Ledger]:
    """A ledger that has written alone, for `ann` with 101 tokens; its steps taken by `steps`."""
    with steps_by(steps), running(url) as ledger:
        ledger.record(plain(opening(tokens=100)))
        ledger.record(plain(grant(1)))
        yield ledger


@contextmanager
def _on_a_loop(ledger: Ledger) -> Iterator[None]:
    left: Future[None] = Future()
    entered: Future[None] = Future()

    async def main() -> None:
        with ledger.on_loop():
            entered.set_result(None)
            await asyncio.wrap_future(left)

    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(asyncio.run, main())
        try:
            entered.result(WAIT_SECONDS_MAX)
            yield
        finally:
            left.set_result(None)
            ended.result(WAIT_SECONDS_MAX)


def wait_until(reached: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)


@contextmanager
def writers_locked(url: str) -> Iterator[None]:
    """Keep every committer of the database waiting."""
    with psycopg.connect(url) as connection:
        connection.execute(log.LOCK.encode())
        yield
        connection.rollback()


@contextmanager
def plugged(ledger: Ledger, url: str) -> Iterator[None]:
    """While inside, the committer is busy: what is submitted waits, and then goes as one batch."""
    with ThreadPoolExecutor(1) as thread:
        with writers_locked(url):
            plug = plain(opening(f"plug-{new_id()}"))
            taken = thread.submit(ledger.record, plug)
            with psycopg.connect(url, autocommit=True) as watching:
                wait_until(lambda: _is_waiting(watching), "the committer at the lock")
            yield
        taken.result(WAIT_SECONDS_MAX)


def _is_waiting(connection: psycopg.Connection[Any]) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    return found is not None and found[0] > 0


def in_one_batch(
    ledger: Ledger, url: str, submissions: Sequence[Submission]
) -> list[Outcome | BaseException]:
    """What each led to; decided in this order, in one transaction."""
    futures: list[Future[Outcome]] = []
    with ThreadPoolExecutor(len(submissions)) as threads, plugged(ledger, url):
        for number, submission in enumerate(submissions, 1):
            futures.append(threads.submit(ledger.record, submission))
            wait_until(lambda: len(ledger.committer._pipeline.waiting) >= number, "the queue")  # noqa: B023 - called at once
    return [result_of(future) for future in futures]


def result_of(future: "Future[Outcome]") -> Outcome | BaseException:
    return future.exception(WAIT_SECONDS_MAX) or future.result()


def whole_log(url: str) -> list[Entry]:
    """Every entry, in order; positions without gaps and times that never go back, or it fails."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT row_to_json(e)::text FROM ledger_events AS e ORDER BY position"
        ).fetchall()
    found = [decode_entry(row) for (row,) in rows]
    assert [entry.position for entry in found] == list(range(1, len(found) + 1))
    times = [entry.at for entry in found]
    assert times == sorted(times)
    return found
