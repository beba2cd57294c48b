"""The group committer: records every waiting command in one transaction.

A batch is whatever came in while the last one was being written; nothing waits on purpose. While
no other process writes it is decided meanwhile, on cached accounts, and written without reading.
Otherwise the accounts are brought level with the log under the writers' lock, the commands decided
in the order they came, and the facts appended; so no conflict can happen, from any process.
"""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from uuid import UUID

import psycopg
import structlog

from ledger import metrics, snapshots
from ledger.account import Account
from ledger.accounts import AccountCache
from ledger.ahead import Ahead
from ledger.batch import Batch, Outcome
from ledger.clock import now_after
from ledger.commands import (
    GrantTokens,
    RefundGeneration,
    ReleaseGeneration,
    RequestGeneration,
    SettleGeneration,
    Submission,
)
from ledger.errors import (
    BesideConflictError,
    LedgerBusyError,
    LedgerError,
    LedgerUnavailableError,
    Refusal,
)
from ledger.identity import ending_id, fact_id
from ledger.log import TABLE, Head
from ledger.session import Session

BATCH_MAX = 512
WAITING_MAX = 20_000
ATTEMPTS_MAX = 3
RETRY_SECONDS = 0.2

_log = structlog.get_logger("ledger.committer")
_Result = Outcome | LedgerError
_AsyncFuture = asyncio.Future[Outcome]
_Waiting = tuple[Submission, "Future[Outcome] | _AsyncFuture"]


class _Written:
    """Wakes the committer when its writer has finished."""


_WRITTEN = _Written()


class Committer:
    """Owns one connection and two threads. Safe to call from any thread or event loop."""

    def __init__(self, url: str) -> None:
        """`url` is connected to with the first command; a lost connection is made again."""
        self._url = url
        self._waiting: SimpleQueue[_Waiting | _Written | None] = SimpleQueue()
        self._ahead: Ahead[_Waiting] | None = None
        self._slow: list[_Waiting] = []
        self._written: Future[None] | None = None
        self._writing: Ahead[_Waiting] | None = None
        self._accounts = AccountCache()
        self._session: Session | None = None
        self._closed = False
        self._gate = threading.Lock()  # nothing is put into the queue after its end mark
        self._undecided: list[_Result] = []
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
        self._disconnect()

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
        if self._ahead is None and self._session and self._accounts.alone:
            self._ahead = Ahead(self._accounts)
        if self._slow or self._ahead is None or not self._ahead.take(waiting[0], waiting):
            self._slow.append(waiting)  # and all after it, since the order is kept

    def _write_out(self, writer: ThreadPoolExecutor) -> None:
        """Write what was decided ahead; what has to be read for comes after it."""
        ahead, self._ahead = self._ahead, None
        if ahead and ahead.waiting:
            due = self._accounts.snapshots_due(ahead.batch.accounts)
            head = Head((ahead.batch.position, ahead.batch.at))
            self._accounts.put(ahead.batch.accounts, head=head)
            written = writer.submit(self._write_ahead, ahead, due)
            self._written, self._writing = written, ahead
            written.add_done_callback(lambda _: self._waiting.put(_WRITTEN))
            if self._slow:
                self._settle(written)
        if self._slow:
            slow, self._slow = self._slow, []
            self._answer(slow, self._record([submission for submission, _ in slow]))

    def _write_ahead(self, ahead: Ahead[_Waiting], due: Sequence[Account]) -> None:
        started = time.perf_counter()
        assert self._session is not None
        batch = ahead.batch
        self._session.commit(rows=batch.rows, beside=batch.beside, due=due, begin=True)
        self._answer(ahead.waiting, ahead.results)
        _count(ahead.submissions, ahead.results, time.perf_counter() - started)

    def _settle(self, written: "Future[None]") -> None:
        """Wait for the write; where it failed, what was decided since stood on what is not so."""
        failed, self._writing, self._written = self._writing, None, None
        error = written.exception()
        if error is None or failed is None:
            return
        since, self._ahead = self._ahead, None
        again = True
        if isinstance(error, psycopg.errors.UniqueViolation) and error.diag.table_name == TABLE:
            # Another process wrote, or an id was in the log: nothing is wrong but our guess.
            names = {*failed.batch.accounts, *(since.batch.accounts if since else ())}
            self._accounts.retract(names, head=failed.head)
            if self._session:
                with contextlib.suppress(psycopg.Error):  # the next attempt meets it again
                    self._session.roll_back()
            again = False
        else:
            _log.warning("batch not written", error=type(error).__name__)
            metrics.LOST_CONNECTIONS.inc(isinstance(error, psycopg.OperationalError))
            self._disconnect()
        self._slow = [*(since.waiting if since else ()), *self._slow]
        results = self._record(failed.submissions, again=again, before=failed.results)
        self._answer(failed.waiting, results)

    def _answer(self, batch: Sequence[_Waiting], results: Sequence[_Result]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_AsyncFuture, _Result]]] = {}
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(future, Future):
                _resolve([(future, result)])
            else:
                by_loop.setdefault(future.get_loop(), []).append((future, result))
        for loop, answers in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, answers)

    def _record(
        self,
        submissions: Sequence[Submission],
        *,
        again: bool = False,
        before: Sequence[_Result] = (),
    ) -> list[_Result]:
        started = time.perf_counter()
        results = self._record_together(submissions, again=again, before=before)
        _count(submissions, results, time.perf_counter() - started)
        return results

    def _record_together(
        self,
        submissions: Sequence[Submission],
        *,
        again: bool = False,
        before: Sequence[_Result] = (),
    ) -> list[_Result]:
        self._undecided = list(before) if again else []
        for attempt in range(ATTEMPTS_MAX):
            try:
                return self._write(submissions, again=again or attempt > 0)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                # The commit may have arrived: the next attempt looks every command up.
                self._disconnect()
                metrics.LOST_CONNECTIONS.inc()
                _log.warning("connection lost", attempt=attempt + 1, error=type(error).__name__)
                time.sleep(RETRY_SECONDS * attempt)
            except Exception as error:  # noqa: BLE001 - whatever it is, it sinks one command only
                self._disconnect()
                if again and len(submissions) == 1:
                    return [_reason(error, submissions[0])]
                # Once more, singly, so that the one at fault sinks alone; each is looked up, for
                # it may be an id that the log has already.
                _log.warning("batch failed, writing its commands singly", commands=len(submissions))
                return self._record_singly(submissions)
        return [LedgerUnavailableError() for _ in submissions]

    def _record_singly(self, submissions: Sequence[Submission]) -> list[_Result]:
        results: list[_Result] = []
        for submission in submissions:
            if results and isinstance(results[-1], LedgerUnavailableError):
                results.append(LedgerUnavailableError())  # the rest would only wait as long, each
            else:
                results += self._record_together([submission], again=True)
        return results

    def _write(self, submissions: Sequence[Submission], *, again: bool) -> list[_Result]:
        if self._session is None:
            self._session = Session(self._url)
        session = self._session
        names = {submission.command.account_id for submission in submissions}
        accounts = self._accounts.take(session.connection, names)
        stale = self._accounts.suspects(accounts)
        opened = session.open(known=_ids_to_look_up(submissions, again=again), behind=stale)
        snapshots.follow_all(accounts, opened.tail)
        missed = self._accounts.missed(opened.head.position, accounts, stale)
        snapshots.follow_all(accounts, session.tails(missed))
        found = opened.known + session.known(_late_ids(submissions, accounts))
        known = {i: e for e in found for i in (e.fact_id, e.key_id) if i is not None}
        batch = Batch(opened.head.position, now_after(opened.head.at), accounts, known)
        results = [_try(batch, submission) for submission in submissions]
        self._undecided = results = _own(results, self._undecided)
        due = self._accounts.snapshots_due(batch.accounts)
        session.commit(rows=batch.rows, beside=batch.beside, due=due)
        self._accounts.put(batch.accounts, head=Head((batch.position, batch.at)))
        return results

    def _disconnect(self) -> None:
        self._accounts.forget()
        if self._session is not None:
            self._session.close()
            self._session = None


def _count(submissions: Sequence[Submission], results: Sequence[_Result], seconds: float) -> None:
    metrics.BATCH_SECONDS.observe(seconds)
    metrics.BATCH_COMMANDS.observe(len(submissions))
    for (name, outcome), count in Counter(map(_kind, submissions, results)).items():
        metrics.COMMANDS.labels(name, outcome).inc(count)


def _kind(submission: Submission, result: _Result) -> tuple[str, str]:
    outcome = "recorded" if isinstance(result, Outcome) else type(result).__name__
    return type(submission.command).__name__, outcome


def _try(batch: Batch, submission: Submission) -> _Result:
    try:
        return batch.apply(submission)
    except Refusal as refusal:
        return refusal


def _own(results: list[_Result], before: Sequence[_Result]) -> list[_Result]:
    """The results, where the log has what we had written when the answer was lost: ours then."""
    if not before:
        return results
    return [
        old
        if isinstance(new, Outcome)
        and isinstance(old, Outcome)
        and new.replayed
        and new.entries[:1] == old.entries[:1]
        else new
        for new, old in zip(results, before, strict=True)
    ]


def _reason(error: Exception, submission: Submission) -> LedgerError:
    """What the caller of a command that sank alone is told; never the driver's words."""
    if isinstance(error, LedgerError):
        return error
    if isinstance(error, psycopg.errors.UniqueViolation) and error.diag.table_name != TABLE:
        return BesideConflictError(error.diag.constraint_name or "")
    _log.error("command failed", command=type(submission.command).__name__, exc_info=error)
    return LedgerError("the command could not be recorded")


def _ids_to_look_up(submissions: Sequence[Submission], *, again: bool) -> list[UUID]:
    """Key ids, and the fact ids of what may stand in the log without the account's knowing."""
    ids = [submission.key_id for submission in submissions if submission.key_id]
    for submission in submissions:
        match submission.command:
            case GrantTokens(reference=str()) | RefundGeneration():
                ids.append(fact_id(submission.command))
            case RequestGeneration() if again or not submission.key_id:
                ids.append(fact_id(submission.command))
            case SettleGeneration() | ReleaseGeneration() if again:
                ids.append(fact_id(submission.command))
    return ids


def _late_ids(submissions: Sequence[Submission], accounts: dict[str, Account]) -> list[UUID]:
    """The endings of generations that are not open, so that the first ending is handed back."""
    return [
        ending_id(submission.command.generation_id)
        for submission in submissions
        if isinstance(submission.command, SettleGeneration | ReleaseGeneration)
        and submission.command.generation_id not in accounts[submission.command.account_id].holds
    ]


def _resolve(answers: Sequence[tuple["Future[Outcome] | _AsyncFuture", _Result]]) -> None:
    for future, result in answers:
        if not future.done():  # its caller may have hung up
            _set(future, result)


def _set(future: "Future[Outcome] | _AsyncFuture", result: _Result) -> None:
    if isinstance(result, Outcome):
        future.set_result(result)
    else:
        future.set_exception(result)
