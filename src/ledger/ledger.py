"""The ledger: the library's Application over our log, with the group committer in front."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.application import Application
from eventsourcing.persistence import InfrastructureFactory, Mapper
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresFactory
from eventsourcing.utils import Environment, EnvType

from ledger import snapshots
from ledger.account import Account
from ledger.answers import AsyncFuture
from ledger.batch import Outcome
from ledger.codec import EntryMapper
from ledger.commands import ReleaseGeneration, RequestGeneration, SettleGeneration, Submission
from ledger.committer import Committer
from ledger.entry import Entry
from ledger.identity import ending_id, new_id
from ledger.log import entries, select_head, select_known
from ledger.pipeline import SHARE_MIN
from ledger.recorder import LedgerDatastore, LedgerRecorder

POOL_SIZE = 8


class LedgerFactory(PostgresFactory):
    """The library's factory, with our datastore in place of one built from its environment."""

    application_recorder_class: type[PostgresApplicationRecorder] = LedgerRecorder

    def __init__(self, env: Environment, datastore: LedgerDatastore) -> None:
        # Past PostgresFactory's own, which would build another datastore.
        InfrastructureFactory.__init__(self, env)
        self.datastore = datastore


class Ledger(Application[str]):
    """Records commands and reads the log. Safe to share between threads and event loops."""

    name = "ledger"

    def __init__(
        self, url: str, *, shares_writer: bool = False, share_min: int = SHARE_MIN
    ) -> None:
        """`url` is PostgreSQL, migrated; the application's role needs SELECT and INSERT.

        `shares_writer` lets one process of this host write for the others; `share_min` commands
        may be one batch, be they more than half of those under way.
        """
        self._datastore = LedgerDatastore(url, pool_size=POOL_SIZE)
        super().__init__()
        self.committer = Committer(url, shares_writer=shares_writer, share_min=share_min)

    def record(self, submission: Submission) -> Outcome:
        """Record a command, durably, and wait.

        Raises a `Refusal` (nothing was written), `LedgerBusyError` (nor was it) or
        `LedgerUnavailableError` (unknown: ask again).
        """
        return self.committer.submit(_with_key(submission))

    def record_async(self, submission: Submission) -> AsyncFuture:
        """The same, to be awaited. Giving up the wait does not take the command back."""
        return self.committer.submit_async(_with_key(submission))

    def on_loop(self) -> AbstractContextManager[None]:
        """Inside, commands are recorded by the running event loop as far as nothing is waited for.

        Meant for who has one: it spares each command two changes of thread. Raises `RuntimeError`
        where a loop records already.
        """
        return self.committer.on_loop()

    def account(self, account_id: str) -> Account:
        """The account as it is now; not open where no such account exists."""
        with self._datastore.tuples() as connection:
            return snapshots.load(connection, [account_id])[account_id]

    def find(self, entry_id: UUID) -> Entry | None:
        """The entry with that fact id or key id."""
        with self._datastore.tuples() as connection:
            return next(iter(entries(select_known(connection, [entry_id]))), None)

    def find_all(self, entry_ids: Sequence[UUID]) -> dict[UUID, Entry]:
        """The entries with those fact ids, by them."""
        with self._datastore.tuples() as connection:
            found = entries(select_known(connection, entry_ids))
        return {entry.fact_id: entry for entry in found}

    def ending(self, generation_id: UUID) -> Entry | None:
        """The entry that ended the generation, if it has ended."""
        return self.find(ending_id(generation_id))

    def head(self) -> int:
        """The log's last position; 0 when it is empty."""
        with self._datastore.tuples() as connection:
            return select_head(connection)

    def close(self) -> None:
        """Record what waits, then give the connections back. Safe to call twice."""
        self.committer.close()
        super().close()

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """Nothing from the process's environment: settings reach us as arguments."""
        return Environment(name, env or {})

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
        """Our datastore and recorder; tables are the migrations' business."""
        env["CREATE_TABLE"] = "n"
        return LedgerFactory(env, self._datastore)

    def construct_mapper(self) -> Mapper[str]:
        """Entries to rows and back."""
        return EntryMapper(transcoder=self.construct_transcoder())


_KNOWN_BY_FACT = (RequestGeneration, SettleGeneration, ReleaseGeneration)


def _with_key(submission: Submission) -> Submission:
    """Every command is known again after a lost answer.

    A generation's by its fact's id; the others by a key, made here where the caller has none.
    """
    if submission.key_id or isinstance(submission.command, _KNOWN_BY_FACT):
        return submission
    return msgspec.structs.replace(submission, key_id=new_id())
