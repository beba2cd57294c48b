"""The committer's connection: a batch is a message that reads and one that commits, or only that.

Many statements go in one message of the simple protocol, over statements prepared once: each
message spares the client a system call and a wait, and the server a wake-up, which at small
batches cost more than the work itself.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import ClientCursor

from ledger import appending, log, lookups, snapshots, terms, wire
from ledger.account import Account
from ledger.batch import Batch
from ledger.entry import Entry

CONNECT_SECONDS_MAX = 3
STATEMENT_SECONDS_MAX = 10
ANSWER_SECONDS_MAX = STATEMENT_SECONDS_MAX + 5
"""A server that has not answered by then counts as lost, though the connection stands."""


def _prepared(name: str, types: Sequence[str], statement: str) -> str:
    parameters = [f"${n}" for n in range(1, len(types) + 1)]
    return f"PREPARE {name} ({', '.join(types)}) AS {statement.format(*parameters)}"


# Only look-ups by key are made here, and the planner must not think otherwise of a young table.
SETTINGS = f"""
SET statement_timeout = '{STATEMENT_SECONDS_MAX}s';
SET idle_in_transaction_session_timeout = '{STATEMENT_SECONDS_MAX}s';
SET default_transaction_isolation = 'read committed';
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
{_prepared("ledger_known", ["text"], log.KNOWN)};
{_prepared("ledger_tails", ["text", "text"], log.TAILS)};
{_prepared("ledger_written", ["bigint", "bigint"], log.WRITTEN)};
{_prepared("ledger_append", appending.TYPES, appending.APPEND)};
{_prepared("ledger_append_alone", appending.ALONE_TYPES, appending.APPEND_ALONE)};
{_prepared("ledger_append_next", appending.NEXT_TYPES, appending.APPEND_NEXT)};
{_prepared("ledger_snapshots", ["json"], snapshots.SAVE)}"""
"""What the connection is set to, and the statements that it keeps."""

_EXECUTE_APPEND = f"EXECUTE ledger_append({', '.join(['%s'] * len(appending.TYPES))})"


class Opened(NamedTuple):
    """What the log says under the writers' lock."""

    head: log.Head
    terms: UUID | None
    known: list[Entry]
    tail: list[Entry]
    written: set[str] | None
    """Whose events came after `since`; None where none was given, or they are too many to tell."""


class Session:
    """One connection and its transaction. Raises psycopg's errors; then close it."""

    def __init__(self, url: str) -> None:
        """Connect, in at most `CONNECT_SECONDS_MAX`."""
        self.connection: psycopg.Connection[Any] = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS_MAX,
            # A server that has vanished without a word is noticed.
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=STATEMENT_SECONDS_MAX * 1000,
            application_name="mintage committer",
            cursor_factory=ClientCursor,
            prepare_threshold=None,  # it would deallocate our statements after a rollback
        )
        self.connection.execute(SETTINGS.encode())
        self.answers = wire.Answers(self.connection.pgconn, ANSWER_SECONDS_MAX)
        """To what was sent; once one has come without an error, that is durable."""

    def open(
        self,
        *,
        known: Sequence[UUID],
        behind: Sequence[Account],
        with_terms: bool = False,
        since: int | None = None,
    ) -> Opened:
        """Begin, take the writers' lock, and read what is asked for with the log's head."""
        statements = ["BEGIN", log.LOCK, log.HEAD, terms.CURRENT if with_terms else ""]
        lists = [self._known(known), self._tails(behind)]
        written = (
            "" if since is None else self._quoted("EXECUTE ledger_written(%s, %s)", since, since)
        )
        message = ";".join(filter(None, [*statements, *lists, written]))
        cursor = self.connection.execute(message.encode())
        cursor.nextset()
        cursor.nextset()
        head = log.Head(cursor.fetchone())
        current: UUID | None = None
        if with_terms:
            cursor.nextset()
            current = (cursor.fetchone() or (None,))[0]
        found, tail = (_next_set(cursor) if each else [] for each in lists)
        names = _next_names(cursor) if written else set()
        told = since is not None and 0 <= head.position - since <= log.WRITTEN_MAX
        return Opened(head, current, found, tail, names if told else None)

    def known(self, ids: Sequence[UUID]) -> list[Entry]:
        """Entries whose key id or fact id is among `ids`."""
        return self._entries(self._known(ids))

    def tails(self, behind: Sequence[Account]) -> list[Entry]:
        """What the log has beyond those accounts."""
        return self._entries(self._tails(behind))

    def commit(self, batch: Batch, due: Sequence[Account]) -> None:
        """Append the batch, write what stands beside it and the snapshots `due`; durable after."""
        self.connection.execute(self._message(batch, due).encode())

    def send(self, batch: Batch, due: Sequence[Account], before: Batch | None = None) -> None:
        """The same in a transaction of its own, under the writers' lock, without waiting.

        `before` is the batch that this one stands on where that is still under way: then neither
        has anything beside its rows, and this one fails where that one does.
        """
        if batch.beside or due:
            checks = f"SELECT {terms.CHECK.format('%s')}, {lookups.CHECK_ABSENT.format('%s')}"
            checked = self._quoted(checks, batch.terms, batch.refused or None)
            message = f"BEGIN;{log.LOCK};{checked};{self._message(batch, due)}"
            self.answers.send(message.encode())
            return
        name, parameters = (
            b"ledger_append_alone",
            appending.wire_parameters(
                batch.after, batch.at_text, batch.rows, batch.terms, batch.refused
            ),
        )
        if before:
            name = b"ledger_append_next"
            parameters += appending.follow_parameters(batch.after, before.rows[-1])
        self.answers.send_prepared(name, parameters, appending.FORMATS)

    def fileno(self) -> int:
        """The connection's descriptor, to be watched for the events of the `answer`."""
        return self.connection.fileno()

    def _message(self, batch: Batch, due: Sequence[Account]) -> str:
        statements = []
        if batch.rows:
            parameters = appending.text_parameters(batch.after, batch.at_text, batch.rows)
            statements += [self._quoted(_EXECUTE_APPEND, *parameters), log.NOTIFY]
        statements += [self._quoted(b.statement, *b.parameters) for b in batch.beside]
        if due:
            document = snapshots.encode_snapshots(due)
            statements.append(self._quoted("EXECUTE ledger_snapshots(%s)", document))
        return ";".join([*statements, "COMMIT"])

    def roll_back(self) -> None:
        """Forget the open transaction, and all that is under way."""
        self.answers.drain()
        self.connection.execute(b"ROLLBACK")

    def is_far_past(self, head: log.Head) -> bool:
        """Whether the log has gone on so far that accounts are sooner loaded than brought level.

        They are loaded before the writers' lock is taken, and brought level under it.
        """
        return log.select_head(self.connection) > head.position + log.WRITTEN_MAX

    def close(self) -> None:
        """Give the connection up, with whatever it had open."""
        with contextlib.suppress(psycopg.Error):
            self.connection.close()

    def _entries(self, statement: str) -> list[Entry]:
        return log.entries(self.connection.execute(statement.encode())) if statement else []

    def _known(self, ids: Sequence[UUID]) -> str:
        return self._quoted("EXECUTE ledger_known(%s)", ",".join(map(str, ids))) if ids else ""

    def _tails(self, behind: Sequence[Account]) -> str:
        parameters = log.tail_parameters(behind)
        return self._quoted("EXECUTE ledger_tails(%s, %s)", *parameters) if parameters else ""

    def _quoted(self, statement: str, *parameters: Any) -> str:
        return ClientCursor(self.connection).mogrify(statement.encode(), parameters)


def _next_names(cursor: psycopg.Cursor[Any]) -> set[str]:
    cursor.nextset()
    return {name for (name,) in cursor}


def _next_set(cursor: psycopg.Cursor[Any]) -> list[Entry]:
    cursor.nextset()
    return log.entries(cursor)
