"""The group committer: records every waiting command in one transaction.

A batch is what came in while the last one was being written, and never more than half of what is
under way; nothing waits on purpose. While no other process writes it is decided meanwhile, on
cached accounts, and written without reading.
Otherwise the accounts are brought level with the log under the writers' lock, the commands decided
in the order they came, and the facts appended; so no conflict can happen, from any process.
"""

import asyncio
import contextlib
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

BATCH_MAX = 512
SHARE_MIN = 16
"""Fewer than this are not worth a commit of their own while more are coming."""

WAITING_MAX = 20_000

_AsyncFuture = asyncio.Future[Outcome]
_Waiting = tuple[Submission, "Future[Outcome] | _AsyncFuture"]


class Committer:
    """Owns one connection and one thread. Safe to call from any thread or event loop."""

    def __init__(self, url: str) -> None:
        """`url` is connected to with the first command; a lost connection is made again."""
        self._recording = Recording(url)
        self._waiting: deque[_Waiting] = deque()
        self._ahead: Ahead[_Waiting] | None = None
        self._slow: list[_Waiting] = []
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
        future: _AsyncFuture = asyncio.get_running_loop().create_future()
        self._enqueue((submission, future))
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

    def _run(self) -> None:
        while True:
            self._take_in()
            if self._writing:
                if self._slow or self._recording.has_answer():
                    self._finish()
                else:
                    self._sleep()
            elif self._ahead or self._slow:
                self._write_out()
            elif not self._closed:
                self._sleep()
            elif not self._waiting:
                break
        self._recording.close()
        self._bell.close()

    def _sleep(self) -> None:
        """Until the server answers, or is overdue, or a command comes that there is room for."""
        if not self._is_full():
            self._bell.lie_down()
            if self._waiting or (self._closed and not self._writing):
                return
        if self._writing:
            self._bell.sleep(self._recording.fileno(), self._recording.seconds_left)
        else:
            self._bell.sleep()

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
            self._decide_ahead(self._waiting.popleft())

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
