"""Our ledger in several writing processes at once, each with its share of the callers."""

import logging
import multiprocessing
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple

import structlog

from api.bench import work
from api.bench.callers import Run, Tally
from api.bench.ours import GroupCommitter
from api.launch.collecting import collect_seldom

START_SECONDS = 0.2  # until all have heard when to begin
ANSWER_SECONDS_MAX = 60.0


class Sharing(StrEnum):
    """Which process writes which account."""

    ONE_WRITES = "one writes for all"
    EACH_WRITES = "each for itself"
    ROUTED = "each its own accounts"


class _Asked(NamedTuple):
    sharing: Sharing
    distribution: str
    callers: int
    seconds: float
    place: int
    processes: int

    @property
    def accounts(self) -> list[str]:
        """All accounts, or this process's own."""
        if self.sharing is not Sharing.ROUTED:
            return work.account_ids()
        return work.account_ids()[self.place : work.ACCOUNTS : self.processes]

    def pick(self) -> work.PickAccount:
        """From those."""
        anywhere = work.DISTRIBUTIONS[self.distribution]
        if self.sharing is not Sharing.ROUTED or anywhere is not work.uniform:
            return anywhere
        own = self.accounts
        return lambda: random.choice(own)  # noqa: S311 - spreading load


class Writers:
    """Processes that wait to be asked, each with an interpreter of its own; end them with `close`.

    Each opens its ledger for a measurement and has every account in memory before it begins.
    """

    def __init__(self, url: str, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection[Any, Any]] = []
        self._processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, url), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def measure(
        self, distribution: str, sharing: Sharing, *, count: int, callers: int, seconds: float
    ) -> Run:
        """`count` of the processes, `callers` in all, at the same time."""
        pipes = self._pipes[:count]
        for index, pipe in enumerate(pipes):
            share = callers // count + (index < callers % count)
            pipe.send(_Asked(sharing, distribution, share, seconds, index, count))
        for answer in _answers(pipes, "ready"):
            assert answer == "ready"
        begin = time.monotonic() + START_SECONDS
        for pipe in pipes:
            pipe.send(begin)
        measured = _answers(pipes, "measured", seconds)
        for pipe in pipes:
            pipe.send("done")
        return Run.of(measured)

    def close(self) -> None:
        """End them all."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(ANSWER_SECONDS_MAX)
            if process.is_alive():
                process.kill()


def _answers(
    pipes: Sequence["Connection[Any, Any]"], what: Literal["ready", "measured"], seconds: float = 0
) -> list[Any]:
    answers = []
    for pipe in pipes:
        if not pipe.poll(seconds + ANSWER_SECONDS_MAX):
            raise TimeoutError(f"a writing process was not {what}")
        answers.append(pipe.recv())
    return answers


def _serve(pipe: "Connection[Any, Any]", url: str) -> None:
    """What a writing process does, until nobody asks any more."""
    # A hub that closes is what ends each measurement: nothing to be told of.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    collect_seldom()
    with suppress(EOFError, BrokenPipeError):
        while True:
            asked: _Asked = pipe.recv()
            shares = asked.sharing is Sharing.ONE_WRITES
            ours = GroupCommitter(url, shares_writer=shares)
            try:
                pick = asked.pick()
                ours.spend(asked.accounts)
                pipe.send("ready")
                begin = pipe.recv()
                time.sleep(max(0.0, begin - time.monotonic()))
                done: Tally = ours.tally(pick, callers=asked.callers, seconds=asked.seconds)
                pipe.send(done)
                pipe.recv()  # who writes for the others stays until they are done
            finally:
                ours.close()
