"""Recording a batch: by reading under the writers' lock, or as it was decided ahead.

A batch whose answer was lost is tried again with every command looked up, for it may be in the log;
one that fails otherwise is written singly, once, so that the command at fault sinks alone.
"""

import contextlib
import functools
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import prometheus_client
import psycopg
import structlog

from ledger import lookups, metrics, snapshots, terms
from ledger.account import Account
from ledger.accounts import AccountCache
from ledger.ahead import Ahead
from ledger.batch import Batch, Outcome
from ledger.clock import now_after
from ledger.commands import RequestGeneration, Submission
from ledger.errors import (
    BesideConflictError,
    LedgerError,
    LedgerUnavailableError,
    Refusal,
    TermsChangedError,
)
from ledger.log import TABLE, Head
from ledger.session import Session
from ledger.wire import Answers

ATTEMPTS_MAX = 3
RETRY_SECONDS = 0.2

Result = Outcome | LedgerError
"""What the caller of one command is handed, or what is raised to it."""

_log = structlog.get_logger("ledger.recording")


class Recording:
    """Owns the session and the cached accounts. For one thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._accounts = AccountCache()
        self._session: Session | None = None
        self._unanswered: Sequence[Result] = ()

    def ahead(self) -> "Ahead[Any] | None":
        """A batch to be decided without reading; None while another process may have written."""
        return Ahead(self._accounts) if self._session and self._accounts.alone else None

    def can_follow(self, ahead: "Ahead[Any]") -> bool:
        """Whether it can be sent while what it stands on is under way."""
        if self._session is None or not self._session.answers.can_follow or ahead.batch.beside:
            return False
        return not self._accounts.snapshots_due(ahead.batch.accounts)

    def send(self, ahead: "Ahead[Any]", before: "Ahead[Any] | None" = None) -> None:
        """Send what was decided ahead, and go on as if it were written; `finish` tells.

        `before` is what it stands on, where that is under way.
        """
        ahead.sent_at = time.perf_counter()
        due = self._accounts.snapshots_due(ahead.batch.accounts)
        self._accounts.put(ahead.batch.accounts, head=ahead.end)
        assert self._session is not None
        self._session.send(ahead.batch, due, before.batch if before else None)

    @property
    def session(self) -> Session | None:
        """Where an answer to what was sent comes from; None while there is no connection."""
        return self._session

    @property
    def answers(self) -> Answers:
        """The server's to what was sent."""
        assert self._session is not None
        return self._session.answers

    def finish(self, ahead: "Ahead[Any]") -> None:
        """See that what was sent first is durable, once its answer has come.

        Raises what kept it from that.
        """
        self.answers.check()
        _count(ahead.submissions, ahead.results, time.perf_counter() - ahead.sent_at)

    def retry(self, failed: "Sequence[Ahead[Any]]", error: BaseException) -> list[Result]:
        """Record by reading what could not be written ahead, because of the first of it."""
        if guessed := _guessed(error):  # so none of it is in the log, for it stood on the first
            # As the first found them: the second found what the first had decided, which is not in
            # the log, and an account that is newer than the log would leave a gap in its versions.
            originals: dict[str, Account] = {}
            for each in reversed(failed):
                originals |= each.originals
            self._accounts.restore(originals, head=failed[0].head)
            if self._session:
                with contextlib.suppress(psycopg.Error):  # the next attempt meets it again
                    self._session.roll_back()
                    if self._session.is_far_past(failed[0].head):
                        self._accounts.drop(originals)
        else:
            _log.warning("batch not written", error=type(error).__name__)
            metrics.LOST_CONNECTIONS.inc(isinstance(error, psycopg.OperationalError))
            self.close()
        results: list[Result] = []
        for each in failed:
            if results and isinstance(results[-1], LedgerUnavailableError):
                results += [LedgerUnavailableError() for _ in each.submissions]  # no use to wait on
                continue
            results += self.record(each.submissions, unanswered=None if guessed else each.results)
        return results

    def record(
        self,
        submissions: Sequence[Submission],
        *,
        unanswered: Sequence[Result] | None = None,
    ) -> list[Result]:
        """Decide and write; one result a command, in order.

        `unanswered` is what had been decided when an answer to COMMIT was lost.
        """
        started = time.perf_counter()
        self._unanswered = unanswered or ()
        results = self._record_together(submissions, again=unanswered is not None)
        _count(submissions, results, time.perf_counter() - started)
        return results

    def record_again(self, submissions: Sequence[Submission]) -> list[Result]:
        """Record what somebody else was asked to record, and may have.

        A request that is found under its own id is this one, and no replay of another.
        """
        results = self.record(submissions, unanswered=())
        return [
            msgspec.structs.replace(result, replayed=False)
            if isinstance(result, Outcome)
            and isinstance(submission.command, RequestGeneration)
            and [entry.fact_id for entry in result.entries] == [submission.command.generation_id]
            else result
            for submission, result in zip(submissions, results, strict=True)
        ]

    def _record_together(
        self,
        submissions: Sequence[Submission],
        *,
        again: bool,
    ) -> list[Result]:
        for attempt in range(ATTEMPTS_MAX):
            try:
                return self._write(submissions, again=again or attempt > 0)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                # The commit may have arrived: the next attempt looks every command up.
                self.close()
                metrics.LOST_CONNECTIONS.inc()
                _log.warning("connection lost", attempt=attempt + 1, error=type(error).__name__)
                time.sleep(RETRY_SECONDS * attempt)
            except Exception as error:  # noqa: BLE001 - whatever it is, it sinks one command only
                self.close()
                if again and len(submissions) == 1:
                    return [_reason(error, submissions[0])]
                # Once more, singly, so that the one at fault sinks alone; each is looked up, for
                # it may be an id that the log has already.
                _log.warning("batch failed, writing its commands singly", commands=len(submissions))
                return self._record_singly(submissions)
        return [LedgerUnavailableError() for _ in submissions]

    def _record_singly(self, submissions: Sequence[Submission]) -> list[Result]:
        results: list[Result] = []
        for submission in submissions:
            if results and isinstance(results[-1], LedgerUnavailableError):
                results.append(LedgerUnavailableError())  # the rest would only wait as long, each
            else:
                self._unanswered = ()
                results += self._record_together([submission], again=True)
        return results

    def _write(self, submissions: Sequence[Submission], *, again: bool) -> list[Result]:
        if self._session is None:
            self._session = Session(self._url)
        session = self._session
        names = {submission.command.account_id for submission in submissions}
        accounts = self._accounts.take(session.connection, names)
        stale = self._accounts.suspects(accounts)
        opened = session.open(
            known=[ident for each in submissions for ident in lookups.ids_of(each, again=again)],
            behind=stale,
            with_terms=any(submission.terms for submission in submissions),
            since=self._accounts.known_to,
        )
        snapshots.follow_all(accounts, opened.tail)
        missed = self._accounts.missed(opened.head.position, accounts, stale, opened.written)
        snapshots.follow_all(accounts, session.tails(missed))
        if far := snapshots.cut_off((*stale, *missed), accounts):
            # Others have written more than is read under the lock: they are loaded as cold ones.
            session.roll_back()
            self._accounts.drop(account.account_id for account in far)
            return self._write(submissions, again=again)
        found = opened.known + session.known(lookups.late_ids(submissions, accounts))
        known = {i: e for e in found for i in (e.fact_id, e.key_id) if i is not None}
        at = now_after(opened.head.at)
        batch = Batch(opened.head.position, at, accounts, known, opened.terms)
        results = [_try(batch, submission) for submission in submissions]
        self._unanswered = results = _own(results, self._unanswered)
        due = self._accounts.snapshots_due(batch.accounts)
        session.commit(batch, due)
        self._accounts.put(batch.accounts, head=Head((batch.position, batch.at)))
        return results

    def close(self) -> None:
        """Give the connection up, and forget what was cached; the next batch connects anew."""
        self._accounts.forget()
        if self._session is not None:
            self._session.close()
            self._session = None


def _count(submissions: Sequence[Submission], results: Sequence[Result], seconds: float) -> None:
    metrics.BATCH_SECONDS.observe(seconds)
    metrics.BATCH_COMMANDS.observe(len(submissions))
    commands = [type(submission.command) for submission in submissions]
    for kinds, count in Counter(zip(commands, map(type, results), strict=True)).items():
        _counted(*kinds).inc(count)


@functools.cache
def _counted(command: type, result: type) -> prometheus_client.Counter:
    outcome = "recorded" if result is Outcome else result.__name__
    return metrics.COMMANDS.labels(command.__name__, outcome)


def _try(batch: Batch, submission: Submission) -> Result:
    try:
        return batch.apply(submission)
    except (Refusal, TermsChangedError) as refusal:
        return refusal


def _guessed(error: BaseException) -> bool:
    """Whether nothing is wrong but what the batch was decided on.

    Another process wrote, an id was in the log, or the terms have changed.
    """
    if isinstance(error, psycopg.errors.UniqueViolation):
        return error.diag.table_name == TABLE
    return isinstance(error, psycopg.Error) and error.sqlstate in {terms.CHANGED, lookups.PRESENT}


def _own(results: list[Result], before: Sequence[Result]) -> list[Result]:
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
