"""A batch decided ahead: on cached accounts, without reading, while the one before is written.

The log's own constraints tell whether that held: had another process written, our positions would
be taken; had a key or a fact been recorded before, its id would be. Only what is written is
checked so. A request that is refused goes along with what is written, and has its ids looked up by
the same commit, for it may be a repetition; all else that adds nothing has to be read for.
"""

from typing import Generic, TypeVar

from ledger.account import Account
from ledger.accounts import AccountCache
from ledger.batch import Batch, Outcome
from ledger.clock import now_after
from ledger.commands import RequestGeneration, Submission
from ledger.decide import decide
from ledger.errors import LedgerError, RateLimitedError, Refusal
from ledger.log import Head
from ledger.lookups import ids_of

T = TypeVar("T")


class Ahead(Generic[T]):
    """Takes commands in until it is written. `waiting` holds what came with each, in order."""

    def __init__(self, accounts: AccountCache) -> None:
        self._accounts = accounts
        self.head = accounts.head
        self.batch = Batch(accounts.head.position, now_after(accounts.head.at), {}, {})
        self.originals: dict[str, Account] = {}
        """The accounts that were looked at, as they were before it."""
        self.submissions: list[Submission] = []
        self.waiting: list[T] = []
        self.results: list[Outcome | LedgerError] = []
        self.sent_at = 0.0

    @property
    def end(self) -> Head:
        """Where the log ends once this is written."""
        return Head((self.batch.position, self.batch.at))

    def take(self, submission: Submission, waiting: T) -> bool:
        """Decide a command; False, with nothing taken in, where it has to be read for."""
        name = submission.command.account_id
        if name not in self.originals:
            account = self._accounts.current(name)
            if account is None:
                return False
            self.originals[name] = self.batch.accounts[name] = account
        before = self.batch.terms
        self.batch.terms = before or submission.terms
        result = self._decide(submission)
        if result is None:
            self.batch.terms = before
            return False
        self.submissions.append(submission)
        self.waiting.append(waiting)
        self.results.append(result)
        return True

    def _decide(self, submission: Submission) -> Outcome | Refusal | None:
        try:
            outcome = self.batch.apply(submission)
        except Refusal as refusal:
            return self._refused(submission, refusal)
        except Exception:  # noqa: BLE001 - what goes wrong is found out, and told, one by one
            return None
        return outcome if outcome.entries else None

    def _refused(self, submission: Submission, refusal: Refusal) -> Refusal | None:
        command = submission.command
        if not isinstance(command, RequestGeneration):
            return None
        if isinstance(refusal, RateLimitedError):
            try:  # the batch's time is when it began, and there may be room by now
                decide(self.batch.accounts[command.account_id], command, now_after(self.batch.at))
            except Refusal as still:
                refusal = still
            else:
                return None
        self.batch.refused += ids_of(submission)
        # Its frames hold us, and we hold it: only the collector would find that.
        return refusal.with_traceback(None)
