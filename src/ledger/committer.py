"""The group committer: one thread that records every waiting command in one transaction.

A batch is whatever came in while the last one was being written; nothing waits on purpose.
Under the writers' lock the accounts are brought level with the log, the commands decided in
the order they came, and the facts appended; so no conflict can happen, from any process.
"""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from queue import SimpleQueue
from uuid import UUID

import psycopg
import structlog

from ledger import metrics, snapshots
from ledger.account import Account
from ledger.accounts import AccountCache
from ledger.batch import Batch, Outcome
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


class Committer:
    """Owns one connection and one thread. Safe to call from any thread or event loop."""

    def __init__(self, url: str) -> None:
        """`url` is connected to with the first command; a lost connection is made again."""
        self._url = url
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
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
        closing = False
        while not closing:
            batch: list[_Waiting] = []
            taken = self._waiting.get()
            while True:
                if taken is None:
                    closing = True
                    break
                batch.append(taken)
                if len(batch) == BATCH_MAX or self._waiting.empty():
                    break
                taken = self._waiting.get_nowait()
            if batch:
                self._answer(batch, self._record([submission for submission, _ in batch]))
        self._disconnect()

    def _answer(self, batch: Sequence[_Waiting], results: Sequence[_Result]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_AsyncFuture, _Result]]] = {}
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(future, Future):
                _set(future, result)
            else:
                by_loop.setdefault(future.get_loop(), []).append((future, result))
        for loop, answers in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, answers)

    def _record(self, submissions: Sequence[Submission]) -> list[_Result]:
        started = time.perf_counter()
        results = self._record_together(submissions)
        metrics.BATCH_SECONDS.observe(time.perf_counter() - started)
        metrics.BATCH_COMMANDS.observe(len(submissions))
        kinds = Counter(map(_kind, submissions, results))
        for (name, outcome), count in kinds.items():
            metrics.COMMANDS.labels(name, outcome).inc(count)
        return results

    def _record_together(
        self, submissions: Sequence[Submission], *, again: bool = False
    ) -> list[_Result]:
        self._undecided = []
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
        if not again and self._accounts.are_current(accounts):
            results = self._write_unread(session, submissions, accounts)
            if results is not None:
                return results
            accounts = self._accounts.take(session.connection, names)
        stale = self._accounts.suspects(accounts)
        opened = session.open(known=_ids_to_look_up(submissions, again=again), behind=stale)
        snapshots.follow_all(accounts, opened.tail)
        missed = self._accounts.missed(opened.head.position, accounts, stale)
        snapshots.follow_all(accounts, session.tails(missed))
        found = opened.known + session.known(_late_ids(submissions, accounts))
        known = {i: e for e in found for i in (e.fact_id, e.key_id) if i is not None}
        batch = Batch(opened.head.position, _now(opened.head), accounts, known)
        results = [_try(batch, submission) for submission in submissions]
        self._undecided = results = _own(results, self._undecided)
        self._commit(session, batch)
        return results

    def _write_unread(
        self, session: Session, submissions: Sequence[Submission], accounts: dict[str, Account]
    ) -> list[_Result] | None:
        """Write a batch decided on what is cached; None where that did not hold.

        The log's own constraints tell: had another process written, our positions would be taken;
        had a key or a fact been recorded before, its id would be. Only what is written is checked
        so, and so a batch with a refusal is not answered from here: it may be a repetition.
        """
        if _late_ids(submissions, accounts):
            return None
        head = self._accounts.head
        batch = Batch(head.position, _now(head), dict(accounts), {})
        results = [_try(batch, submission) for submission in submissions]
        if not all(isinstance(result, Outcome) and result.entries for result in results):
            return None
        self._undecided = results
        try:
            self._commit(session, batch, begin=True)
        except psycopg.errors.UniqueViolation as error:
            if error.diag.table_name != TABLE:
                raise
            session.roll_back()
            self._accounts.not_alone()
            self._undecided = []
            return None
        return results

    def _commit(self, session: Session, batch: Batch, *, begin: bool = False) -> None:
        due = self._accounts.snapshots_due(batch.accounts)
        session.commit(rows=batch.rows, beside=batch.beside, due=due, begin=begin)
        self._accounts.put(batch.accounts, head=Head((batch.position, batch.at)))

    def _disconnect(self) -> None:
        self._accounts.forget()
        if self._session is not None:
            self._session.close()
            self._session = None


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


def _now(head: Head) -> datetime:
    """The time, but never earlier than the last event's: "as of then" is a prefix of the log."""
    now = datetime.now(UTC)
    return now if head.at is None else max(now, head.at.astimezone(UTC))


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


def _resolve(answers: Sequence[tuple[_AsyncFuture, _Result]]) -> None:
    for future, result in answers:
        if not future.done():  # its caller may have hung up
            _set(future, result)


def _set(future: "Future[Outcome] | _AsyncFuture", result: _Result) -> None:
    if isinstance(result, Outcome):
        future.set_result(result)
    else:
        future.set_exception(result)
