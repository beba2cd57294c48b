"""The group committer: records every waiting command in one transaction.

A batch is what came in while the last one was being written, and never more than half of what is
under way; nothing waits on purpose. While no other process writes it is decided meanwhile, on
cached accounts, and written without reading.
Otherwise the accounts are brought level with the log under the writers' lock, the commands decided
in the order they came, and the facts appended; so no conflict can happen, from any process.
"""

import asyncio
import contextlib
import select
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from ledger.ahead import Ahead
from ledger.batch import Outcome
from ledger.bell import Bell
from ledger.commands import Submission
from ledger.errors import LedgerBusyError
from ledger.recording import Recording, Result
from ledger.relay import Relay, Reply

BATCH_MAX = 512
SHARE_MIN = 16
"""Fewer than this are not worth a commit of their own while more are coming."""

WAITING_MAX = 20_000

_AsyncFuture = asyncio.Future[Outcome]
_Waiting = tuple[Submission, "Future[Outcome] | _AsyncFuture | Reply"]


class Committer:
    """Owns one connection and one thread. Safe to call from any thread or event loop."""

    def __init__(self, url: str, *, shares_writer: bool = False) -> None:
        """`url` is connected to with the first command; a lost connection is made again.

        `shares_writer` lets one process of this host write for the others (see `ledger.relay`).
        """
        self._recording = Recording(url)
        self._relay: Relay[_Waiting] | None = Relay(url) if shares_writer else None
        self._waiting: deque[_Waiting] = deque()
        self._gathered: dict[asyncio.AbstractEventLoop, list[tuple[Submission, _AsyncFuture]]] = {}
        self._ahead: Ahead[_Waiting] | None = None
        self._slow: list[_Waiting] = []
        self._lost: list[_Waiting] = []  # a hub that is gone may have recorded them
        self._writing: Ahead[_Waiting] | None = None
        self._closed = False
        self._gate = threading.Lock()  # nothing is put into the queue, or rung for, after the end
        self._bell = Bell()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(self, submission: Submission) -> Outcome:
        """Record and wait. Raises `Refusal`, `LedgerBusyError` or `LedgerUnavailableError`."""
        future: Future[Outcome] = Future()
        self._enqueue((submission, future))
        return future.result()

    async def submit_async(self, submission: Submission) -> Outcome:
        """The same, awaited. Giving up the wait does not take the command back."""
        loop = asyncio.get_running_loop()
        future: _AsyncFuture = loop.create_future()
        gathered = self._gathered.setdefault(loop, [])
        if not gathered:  # the others of this turn of the loop come along: one ring for all
            loop.call_soon(self._enqueue_gathered, loop)
        gathered.append((submission, future))
        return await future

    def close(self) -> None:
        """Record what waits, then end the thread and the connection."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._bell.ring()
        self._thread.join()

    def _enqueue(self, waiting: _Waiting) -> None:
        with self._gate:
            if self._closed or len(self._waiting) >= WAITING_MAX:
                raise LedgerBusyError
            self._waiting.append(waiting)
            self._bell.ring()

    def _enqueue_gathered(self, loop: asyncio.AbstractEventLoop) -> None:
        gathered = self._gathered.pop(loop)
        with self._gate:
            room = 0 if self._closed else max(WAITING_MAX - len(self._waiting), 0)
            self._waiting.extend(gathered[:room])
            if room:
                self._bell.ring()
        _resolve([(future, LedgerBusyError()) for _, future in gathered[room:]])

    def _run(self) -> None:
        while True:
            if self._relay:
                self._exchange(self._relay)
            self._take_in()
            if self._writing:
                if self._slow or self._lost or self._recording.has_answer():
                    self._finish()
                else:
                    self._sleep()
            elif self._ahead or self._slow or self._lost:
                self._write_out()
            elif not self._closed or self._is_owed():
                self._sleep()
            elif not self._waiting:
                break
        if self._relay:
            self._relay.close()
        self._recording.close()
        with self._gate:  # whoever has ended us may still be about to ring
            self._bell.close()

    def _sleep(self) -> None:
        """Until the server answers, or is overdue, or a command comes that there is room for."""
        if not self._is_full():
            self._bell.lie_down()
            if self._waiting or (self._closed and not self._writing and not self._is_owed()):
                return
        others: list[tuple[int, int]] = []
        seconds: list[float | None] = []
        if self._relay:
            others += self._relay.watched()
            seconds.append(self._relay.seconds_left)
        if self._writing:
            others.append((self._recording.fileno(), select.POLLIN))
            seconds.append(self._recording.seconds_left)
        self._bell.sleep(others, min((s for s in seconds if s is not None), default=None))

    def _is_owed(self) -> bool:
        """Whether a hub has not answered all that was asked of it."""
        return self._relay is not None and self._relay.is_waiting

    def _exchange(self, relay: "Relay[_Waiting]") -> None:
        """Take in what guests ask, tell our callers what the hub has answered."""
        if self._closed:
            relay.stop()
        for submission, reply in relay.arrived():
            if len(self._waiting) < WAITING_MAX:
                self._waiting.append((submission, reply))
            else:
                relay.answer([(reply, LedgerBusyError())])
        if answered := relay.answered():
            self._answer([waiting for waiting, _ in answered], [result for _, result in answered])
        self._lost += relay.lost()

    def _is_full(self) -> bool:
        """Whether the batch has its share: half of what is under way.

        So one half is decided, and its callers told and heard, while the other is being written.
        """
        ahead = len(self._ahead.waiting) if self._ahead else 0
        if self._slow:
            return ahead + len(self._slow) >= BATCH_MAX
        writing = len(self._writing.waiting) if self._writing else 0
        share = (writing + ahead + len(self._waiting)) // 2
        return ahead >= min(max(share, SHARE_MIN), BATCH_MAX)

    def _take_in(self) -> None:
        while self._waiting and not self._is_full():
            waiting = self._waiting.popleft()
            if not (self._relay and self._relay.take(waiting[0], waiting)):
                self._decide_ahead(waiting)
        if self._relay:
            self._relay.send()

    def _decide_ahead(self, waiting: _Waiting) -> None:
        if self._ahead is None:
            self._ahead = self._recording.ahead()
        if self._slow or self._ahead is None or not self._ahead.take(waiting[0], waiting):
            self._slow.append(waiting)  # and all after it, since the order is kept

    def _write_out(self) -> None:
        """Send what was decided ahead; what has to be read for comes after it."""
        if self._ahead:
            if failure := self._send():
                self._fall(failure)
        elif self._lost:
            lost, self._lost = self._lost, []
            submissions = [submission for submission, _ in lost]
            self._answer(lost, self._recording.record_again(submissions))
        elif self._slow:
            slow, self._slow = self._slow, []
            self._answer(slow, self._recording.record([submission for submission, _ in slow]))

    def _send(self) -> Exception | None:
        """Send what was decided ahead, if anything was; what went wrong is for `_fall`."""
        ahead, self._ahead = self._ahead, None
        if ahead and ahead.waiting:
            self._writing = ahead
            try:
                self._recording.send(ahead)
            except Exception as error:  # noqa: BLE001 - the next attempt tells what it is
                return error
        return None

    def _finish(self) -> None:
        """Wait for the write; send the next before telling anybody, so that no server idles."""
        written = self._writing
        assert written is not None
        try:
            self._recording.finish(written)
        except Exception as error:  # noqa: BLE001 - the next attempt tells what it is
            self._fall(error)
            return
        self._writing = None
        failure = self._send()
        self._answer(written.waiting, written.results)
        if failure:
            self._fall(failure)

    def _fall(self, error: Exception) -> None:
        """The batch was not written as decided; what was decided since stood on what is not so."""
        failed, self._writing = self._writing, None
        since, self._ahead = self._ahead, None
        assert failed is not None
        self._slow = [*(since.waiting if since else ()), *self._slow]
        self._answer(failed.waiting, self._recording.retry(failed, since, error))

    def _answer(self, batch: Sequence[_Waiting], results: Sequence[Result]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_AsyncFuture, Result]]] = {}
        replies: list[tuple[Reply, Result]] = []
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(future, Reply):
                replies.append((future, result))
            elif isinstance(future, Future):
                _resolve([(future, result)])
            else:
                by_loop.setdefault(future.get_loop(), []).append((future, result))
        if self._relay:
            self._relay.answer(replies)
        for loop, answers in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, answers)


def _resolve(answers: Sequence[tuple["Future[Outcome] | _AsyncFuture", Result]]) -> None:
    for future, result in answers:
        if not future.done():  # its caller may have hung up
            _set(future, result)


def _set(future: "Future[Outcome] | _AsyncFuture", result: Result) -> None:
    if isinstance(result, Outcome):
        future.set_result(result)
    else:
        future.set_exception(result)
