"""The group committer: records every waiting command in one transaction.

A batch is whatever came in while the last one was being written; nothing waits on purpose. While
no other process writes it is decided meanwhile, on cached accounts, and written without reading.
Otherwise the accounts are brought level with the log under the writers' lock, the commands decided
in the order they came, and the facts appended; so no conflict can happen, from any process.
"""

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from ledger.account import Account
from ledger.ahead import Ahead
from ledger.batch import Outcome
from ledger.commands import Submission
from ledger.errors import LedgerBusyError
from ledger.recording import Recording, Result

BATCH_MAX = 512
WAITING_MAX = 20_000

_AsyncFuture = asyncio.Future[Outcome]
_Waiting = tuple[Submission, "Future[Outcome] | _AsyncFuture"]


class _Written:
    """Wakes the committer when its writer has finished."""


_WRITTEN = _Written()


class Committer:
    """Owns one connection and two threads. Safe to call from any thread or event loop."""

    def __init__(self, url: str) -> None:
        """`url` is connected to with the first command; a lost connection is made again."""
        self._recording = Recording(url)
        self._waiting: SimpleQueue[_Waiting | _Written | None] = SimpleQueue()
        self._ahead: Ahead[_Waiting] | None = None
        self._slow: list[_Waiting] = []
        self._written: Future[None] | None = None
        self._writing: Ahead[_Waiting] | None = None
        self._closed = False
        self._gate = threading.Lock()  # nothing is put into the queue after its end mark
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(self, submission: Submission) -> Outcome:
        """Record and wait. Raises `Refusal`, `LedgerBusyError` or `LedgerUnavailableError`."""
        future: Future[Outcome] = Future()
        self._enqueue((submission, future))
        return future.result()

    async def submit_async(self, submission: Submission) -> Outcome:
        """The same, awaited. Giving up the wait does not take the command back."""
        future: _AsyncFuture = asyncio.get_running_loop().create_future()
        self._enqueue((submission, future))
        return await future

    def close(self) -> None:
        """Record what waits, then end the thread and the connection."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def _enqueue(self, waiting: _Waiting) -> None:
        with self._gate:
            if self._closed or self._waiting.qsize() >= WAITING_MAX:
                raise LedgerBusyError
            self._waiting.put(waiting)

    def _run(self) -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="committer-writer") as writer:
            closing = False
            while not closing or self._ahead or self._slow or self._written:
                closing |= self._take_in(closing=closing)
                if self._written and (self._written.done() or self._is_full()):
                    self._settle(self._written)
                if self._written is None:
                    self._write_out(writer)
        self._recording.close()

    def _is_full(self) -> bool:
        return len(self._slow) + (len(self._ahead.waiting) if self._ahead else 0) >= BATCH_MAX

    def _take_in(self, *, closing: bool) -> bool:
        """Take what waits, or wait for it; True when the end mark came."""
        if self._is_full():
            return False
        if closing and self._waiting.empty():
            if self._written:
                self._settle(self._written)
            return False
        while True:
            taken = self._waiting.get()
            if taken is None:
                return True
            if not isinstance(taken, _Written):
                self._decide_ahead(taken)
            if self._is_full() or self._waiting.empty():
                return False

    def _decide_ahead(self, waiting: _Waiting) -> None:
        if self._ahead is None:
            self._ahead = self._recording.ahead()
        if self._slow or self._ahead is None or not self._ahead.take(waiting[0], waiting):
            self._slow.append(waiting)  # and all after it, since the order is kept

    def _write_out(self, writer: ThreadPoolExecutor) -> None:
        """Write what was decided ahead; what has to be read for comes after it."""
        ahead, self._ahead = self._ahead, None
        if ahead and ahead.waiting:
            due = self._recording.keep(ahead)
            written = writer.submit(self._write_ahead, ahead, due)
            self._written, self._writing = written, ahead
            written.add_done_callback(lambda _: self._waiting.put(_WRITTEN))
            if self._slow:
                self._settle(written)
        if self._slow:
            slow, self._slow = self._slow, []
            self._answer(slow, self._recording.record([submission for submission, _ in slow]))

    def _write_ahead(self, ahead: Ahead[_Waiting], due: Sequence[Account]) -> None:
        self._recording.write_ahead(ahead, due)
        self._answer(ahead.waiting, ahead.results)

    def _settle(self, written: "Future[None]") -> None:
        """Wait for the write; where it failed, what was decided since stood on what is not so."""
        failed, self._writing, self._written = self._writing, None, None
        error = written.exception()
        if error is None or failed is None:
            return
        since, self._ahead = self._ahead, None
        self._slow = [*(since.waiting if since else ()), *self._slow]
        self._answer(failed.waiting, self._recording.retry(failed, since, error))

    def _answer(self, batch: Sequence[_Waiting], results: Sequence[Result]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_AsyncFuture, Result]]] = {}
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(future, Future):
                _resolve([(future, result)])
            else:
                by_loop.setdefault(future.get_loop(), []).append((future, result))
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
