"""Several processes on one snapshot, each asking for the next range of accounts.

A process that dies is noticed by its pipe, and so is a parent that does.
"""

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

import psycopg

from ledger.driver import sentence
from projections.verify.accounts import Progress, check_accounts
from projections.verify.finding import Finding
from projections.verify.reading import Range
from projections.verify.snapshot import Baseline

RANGES_EACH = 4
"""So that the one which is done early takes over from the others."""

END_SECONDS_MAX = 5.0


class SharedError(Exception):
    """A process could not look at its part; the message says why."""


def share(
    url: str,
    baseline: Baseline,
    ranges: Sequence[Range],
    views: Sequence[str],
    *,
    processes: int,
    progress: Progress,
) -> Iterator[Finding]:
    """What `processes` find in the ranges, as it comes. Raises `SharedError`."""
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(ranges))
    workers: dict[Connection[Any, Any], Any] = {}
    talking: set[Connection[Any, Any]] = set()
    try:
        for number in range(min(processes, len(ranges))):
            ours, theirs = context.Pipe()
            worker = context.Process(
                target=_work,
                args=(theirs, url, baseline, tuple(views)),
                name=f"verify-{number}",
                daemon=True,
            )
            workers[ours] = worker
            talking.add(ours)
            with _deaf_to_interrupts():
                worker.start()
            theirs.close()
        while talking:
            for pipe in wait(list(talking)):
                assert isinstance(pipe, Connection)
                match _receive(pipe):
                    case Finding() as finding:
                        yield finding
                    case int(events):
                        progress(events)
                    case None if waiting:
                        pipe.send(waiting.pop())
                    case None:
                        talking.remove(pipe)
                    case str(problem):
                        raise SharedError(problem)
    finally:
        begun = [worker for worker in workers.values() if worker.pid]
        for pipe in workers:
            pipe.close()
        for worker in begun if talking else ():
            worker.terminate()
        for worker in begun:
            worker.join(END_SECONDS_MAX)
            if worker.is_alive():
                worker.kill()
                worker.join()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started inside never hears Ctrl-C; we do so when it is over."""
    resource_tracker.ensure_running()  # else it starts with the first, and lets it hear
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # Another thread may hear it for us, and would interrupt us half-way all the same.
    heard: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda *_: heard.append(1)) if is_main else None
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _receive(pipe: "Connection[Any, Any]") -> Any:
    try:
        return pipe.recv()
    except EOFError:
        return "one of the processes has ended before its work"


def _work(pipe: "Connection[Any, Any]", url: str, baseline: Baseline, views: Sequence[str]) -> None:
    """Ask for ranges by sending None; send numbers of events, findings, or why there is an end."""
    signal.signal(signal.SIGTERM, _end)  # as an exception, so that no statement is left running
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            while True:
                pipe.send(None)
                accounts = pipe.recv()
                for finding in check_accounts(url, baseline, accounts, views, pipe.send):
                    pipe.send(finding)
        except psycopg.Error as error:
            pipe.send(sentence(error))


def _end(*_: Any) -> NoReturn:
    raise SystemExit
