"""The group committer: one thread that records every waiting command in one transaction.

A batch is whatever came in while the last one was being written; nothing waits on purpose.
Under the writers' lock the accounts are brought level with the log, the commands decided in
the order they came, and the facts appended; so no conflict can happen, from any process.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any
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
from ledger.log import (
    APPEND,
    HEAD,
    LOCK,
    NOTIFY,
    Head,
    entries,
    join_rows,
    select_known,
    select_tails,
)

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
        self._connection: psycopg.Connection[Any] | None = None
        self._closed = False
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
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _enqueue(self, waiting: _Waiting) -> None:
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
        for submission, result in zip(submissions, results, strict=True):
            name = type(submission.command).__name__
            outcome = "recorded" if isinstance(result, Outcome) else type(result).__name__
            metrics.COMMANDS.labels(name, outcome).inc()
        return results

    def _record_together(self, submissions: Sequence[Submission]) -> list[_Result]:
        for attempt in range(ATTEMPTS_MAX):
            try:
                return self._write(submissions, again=attempt > 0)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                # The commit may have arrived: the next attempt looks every command up.
                self._disconnect()
                metrics.LOST_CONNECTIONS.inc()
                _log.warning("connection lost", attempt=attempt + 1, error=type(error).__name__)
                time.sleep(RETRY_SECONDS * attempt)
            except Exception as error:  # noqa: BLE001 - whatever it is, it sinks one command only
                self._disconnect()
                if len(submissions) == 1:
                    if isinstance(error, psycopg.errors.UniqueViolation) and submissions[0].beside:
                        return [BesideConflictError(error.diag.constraint_name or "")]
                    _log.exception("command failed", command=type(submissions[0].command).__name__)
                    return [LedgerError("the command could not be recorded")]
                # Once more, singly, so that the one at fault sinks alone.
                _log.warning("batch failed, writing its commands singly", commands=len(submissions))
                return [self._record_together([single])[0] for single in submissions]
        return [LedgerUnavailableError() for _ in submissions]

    def _write(self, submissions: Sequence[Submission], *, again: bool) -> list[_Result]:
        connection = self._connect()
        names = {submission.command.account_id for submission in submissions}
        accounts = self._accounts.take(connection, names)
        known_ids = _ids_to_look_up(submissions, again=again)
        with connection.pipeline(), connection.transaction():
            connection.execute(LOCK.encode(), prepare=True)
            head_cursor = connection.execute(HEAD.encode(), prepare=True)
            known = select_known(connection, known_ids)
            stale = self._accounts.suspects(accounts)
            tails = select_tails(connection, stale)
            head = Head(head_cursor.fetchone())
            snapshots.follow_all(accounts, entries(tails))
            if missed := self._accounts.missed(head.position, accounts, stale):
                snapshots.follow_all(accounts, entries(select_tails(connection, missed)))
            found = entries(known)
            found += entries(select_known(connection, _late_ids(submissions, accounts)))
            batch = Batch(
                position=head.position,
                at=_now(head),
                accounts=accounts,
                known={i: e for e in found for i in (e.fact_id, e.key_id) if i is not None},
            )
            results = [_try(batch, submission) for submission in submissions]
            if batch.rows:
                connection.execute(APPEND.encode(), (join_rows(batch.rows),), prepare=True)
                connection.execute(NOTIFY.encode())
            for beside in batch.beside:
                connection.execute(beside.statement.encode(), beside.parameters)
            if due := self._accounts.snapshots_due(batch.accounts):
                connection.execute(snapshots.SAVE, (snapshots.encode_snapshots(due),))
        self._accounts.put(batch.accounts, head=batch.position)
        return results

    def _connect(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=3, application_name="mintage committer"
            )
            self._connection.execute("SET statement_timeout = '10s'")
            self._connection.execute("SET idle_in_transaction_session_timeout = '10s'")
        return self._connection

    def _disconnect(self) -> None:
        self._accounts.forget()
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


def _try(batch: Batch, submission: Submission) -> _Result:
    try:
        return batch.apply(submission)
    except Refusal as refusal:
        return refusal


def _now(head: Head) -> datetime:
    """The time, but never earlier than the last event's: "as of then" is a prefix of the log."""
    now = datetime.now(UTC)
    return now if head.at is None else max(now, head.at)


def _ids_to_look_up(submissions: Sequence[Submission], *, again: bool) -> list[UUID]:
    """Key ids, and the fact ids of what may stand in the log without the account's knowing."""
    ids = [submission.key_id for submission in submissions if submission.key_id]
    for submission in submissions:
        match submission.command:
            case GrantTokens(reference=str()) | RefundGeneration():
                ids.append(fact_id(submission.command))
            case RequestGeneration() | SettleGeneration() | ReleaseGeneration() if again:
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
