"""The group committer: records every waiting command, many in one transaction.

`Pipeline` is what it does. Its steps are taken by a thread of its own, or by the event loop of
those who ask: then a command changes threads only where something has to be waited for.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from types import TracebackType

from ledger.answers import AsyncFuture, Waiting, resolve
from ledger.batch import Outcome
from ledger.bell import Bell, Watched
from ledger.commands import Submission
from ledger.errors import LedgerBusyError
from ledger.loop_bell import LoopBell
from ledger.pipeline import SHARE_MIN, Job, Pipeline

LOOK_SECONDS = 1.0
"""So often the thread looks whether the event loop that takes the steps still runs."""


class Committer:
    """Owns one connection and one thread. Safe to call from any thread or event loop."""

    def __init__(
        self, url: str, *, shares_writer: bool = False, share_min: int = SHARE_MIN
    ) -> None:
        """`url` is connected to with the first command; a lost connection is made again.

        `shares_writer` lets one process of this host write for the others (see `ledger.relay`);
        so many as `share_min` go into one batch where they wait, be it more than half of all.
        """
        self._pipeline = Pipeline(url, shares_writer=shares_writer, share_min=share_min)
        self._gathered: dict[asyncio.AbstractEventLoop, list[tuple[Submission, AsyncFuture]]] = {}
        self._gate = threading.Lock()  # nothing is put into the queue, or rung for, after the end
        self._turn = threading.Lock()  # held by whoever takes a step
        self._bell = Bell()
        self._loop_bell: LoopBell | None = None  # of the event loop that takes the steps
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(self, submission: Submission) -> Outcome:
        """Record and wait. Raises `Refusal`, `LedgerBusyError` or `LedgerUnavailableError`."""
        future: Future[Outcome] = Future()
        self._enqueue((submission, future))
        if not ((bell := self._loop_bell) and bell.is_here):
            return future.result()
        self._dismiss(bell.loop)  # it takes no steps while it waits
        try:
            return future.result()
        finally:
            self._appoint(bell.loop)

    def submit_async(self, submission: Submission) -> AsyncFuture:
        """The same, to be awaited. Giving up the wait does not take the command back."""
        loop = asyncio.get_running_loop()
        future: AsyncFuture = loop.create_future()
        if gathered := self._gathered.get(loop):
            gathered.append((submission, future))
        else:  # the others of this turn of the loop come along: one ring for all
            self._gathered[loop] = [(submission, future)]
            loop.call_soon(self._enqueue_gathered, loop)
        return future

    def on_loop(self) -> AbstractContextManager[None]:
        """Inside, the running event loop takes the steps, and the thread what has to wait.

        Raises `RuntimeError` where a loop does already. Should this one end without leaving, or
        the committer be closed, the thread goes on.
        """
        return _OnLoop(self._appoint, self._dismiss)

    def close(self) -> None:
        """Record what waits, then end the thread and the connection. Safe to call twice."""
        with self._gate:
            self._pipeline.closing = True
        with self._turn:  # whoever is being appointed has been, or will see that it is over
            bell = self._loop_bell
        if bell:
            self._dismiss(bell.loop)
        else:
            self._call_thread()
        self._thread.join()

    def _enqueue(self, waiting: Waiting) -> None:
        with self._gate:
            if self._pipeline.closing or not self._pipeline.room:
                raise LedgerBusyError
            self._pipeline.waiting.append(waiting)
            (self._loop_bell or self._bell).ring()

    def _enqueue_gathered(self, loop: asyncio.AbstractEventLoop) -> None:
        gathered = self._gathered.pop(loop)
        with self._gate:
            room = 0 if self._pipeline.closing else self._pipeline.room
            self._pipeline.waiting.extend(gathered[:room])
            bell = self._loop_bell
            here = bell is not None and bell.loop is loop
            if room and not here:
                (bell or self._bell).ring()
        if bell and here:
            self._step_on_loop(bell, heard=False)
        for _, future in gathered[room:]:
            resolve(future, LedgerBusyError())

    def _appoint(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Let the loop take the steps; False where one does already."""
        bell = LoopBell(loop, self._woken)
        with self._turn:
            if self._loop_bell and self._loop_bell.is_heard:
                return False
            if self._pipeline.closing:
                return True
            self._loop_bell = bell
        self._call_thread()  # for it watches what the loop watches from now on
        self._step_on_loop(bell, heard=True)
        return True

    def _dismiss(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the thread take the steps, if the loop does."""
        with self._turn:
            if (bell := self._loop_bell) and bell.loop is loop:
                self._loop_bell = None
                bell.close()
        self._call_thread()

    def _call_thread(self) -> None:
        with self._gate:
            if not self._ended:
                self._bell.call()

    def _woken(self, bell: LoopBell, watched: Watched | None) -> None:
        self._step_on_loop(bell, heard=not (watched and self._pipeline.is_server(watched)))

    def _step_on_loop(self, bell: LoopBell, *, heard: bool, turn: bool = False) -> None:
        with self._turn:
            if bell is not self._loop_bell:
                return
            more = self._pipeline.step(bell.loop, heard=heard, turn=turn)
            handed_over = bool(self._pipeline.job)
            try:
                bell.watch(self._pipeline.watched(), self._pipeline.seconds_left)
            except OSError:  # no descriptor is left for it; the thread needs none
                self._loop_bell, handed_over = None, True
                bell.close()
        if handed_over:
            self._call_thread()
        elif more and not bell.goes_on:  # others on the loop have their turn in between
            bell.goes_on = True
            bell.loop.call_soon(self._go_on, bell)

    def _go_on(self, bell: LoopBell) -> None:
        bell.goes_on = False
        self._step_on_loop(bell, heard=False, turn=True)

    def _run(self) -> None:
        while True:
            with self._turn:
                if self._loop_bell and not self._loop_bell.is_heard:
                    self._loop_bell.close()
                    self._loop_bell = None
                ours = self._loop_bell is None
                more = ours and self._pipeline.step()
                job = self._pipeline.job
                if ours and self._pipeline.is_over:
                    break
            if job:
                self._do(job)
            elif not more:
                self._sleep()
        self._pipeline.close()
        with self._gate:  # whoever has ended us may still be about to ring
            self._ended = True
            self._bell.close()

    def _do(self, job: Job) -> None:
        job.run()
        with self._turn:
            self._pipeline.complete(job)
            if self._loop_bell:
                self._loop_bell.ring()

    def _sleep(self) -> None:
        """Until the server answers, or is overdue, or a command comes that there is room for.

        While an event loop takes the steps, until it has a job for us.
        """
        pipeline = self._pipeline
        others: list[tuple[Watched, int]] = []
        with self._turn:
            if pipeline.job:
                return
            if self._loop_bell:
                seconds: float | None = LOOK_SECONDS
            else:
                if not pipeline.is_full():
                    self._bell.lie_down()
                    if pipeline.waiting or pipeline.is_over:
                        return
                others += pipeline.watched()
                seconds = pipeline.seconds_left
        self._bell.sleep(others, seconds)


class _OnLoop(AbstractContextManager[None]):
    # No generator: one that is given up is ended by whatever thread collects the garbage.

    def __init__(
        self,
        appoint: Callable[[asyncio.AbstractEventLoop], bool],
        dismiss: Callable[[asyncio.AbstractEventLoop], None],
    ) -> None:
        self._appoint = appoint
        self._dismiss = dismiss

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self._appoint(self._loop):
            raise RuntimeError("an event loop takes the steps already")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._dismiss(self._loop)
