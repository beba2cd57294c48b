"""The library's way to the log: its pool of connections and its recorder, over our own table."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

import msgspec
import psycopg
from eventsourcing.persistence import Notification, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.rows import dict_row, tuple_row

from ledger.appending import APPEND_AT_TIMES, SEPARATOR, TYPES, row, text_parameters
from ledger.codec import decode_entry, encode_fact
from ledger.log import HEAD, LOCK, NOTIFY

_BIGINT_MAX = 2**63 - 1


class LedgerDatastore(PostgresDatastore):
    """The library's pool, connecting by URL so that no connection option is lost."""

    def __init__(self, url: str, *, pool_size: int) -> None:
        # Pinged, for a server that was restarted must not be felt by the next reader.
        super().__init__("", "", "", "", "", pool_size=1, max_overflow=pool_size - 1, pre_ping=True)
        self.pool.conninfo = url
        assert isinstance(self.pool.kwargs, dict)
        for name in ("dbname", "host", "port", "user", "password"):
            self.pool.kwargs.pop(name, None)

    @contextmanager
    def tuples(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection in autocommit mode whose rows are tuples."""
        with self.get_connection() as connection:
            plain = cast("psycopg.Connection[Any]", connection)
            plain.row_factory = tuple_row
            try:
                yield plain
            finally:
                plain.row_factory = dict_row


class LedgerRecorder(PostgresApplicationRecorder):
    """The library's recorder over our own table: jsonb, gap-free positions, advisory lock."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str) -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self.sql_create_statements = []  # tables are the migrations' business

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        """Append rows as they are but for positions, counted up here, and times that would go back.

        For imports and tests; commands go through the committer, which decides under the lock.
        """
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(LOCK.encode())
            last = cursor.execute(HEAD.encode()).fetchone()
            position, at = (last["position"], last["at"]) if last else (0, None)
            placed = []
            for event in stored_events:
                entry = decode_entry(event.state)
                position, at = position + 1, entry.at if at is None else max(at, entry.at)
                placed.append(msgspec.structs.replace(entry, position=position, at=at))
            if placed:
                rows = [row(entry, encode_fact(entry.fact).decode()) for entry in placed]
                times = SEPARATOR.join(entry.at.isoformat() for entry in placed)
                append = APPEND_AT_TIMES.format(*["%s"] * len(TYPES))
                after = placed[0].position - 1
                cursor.execute(append.encode(), text_parameters(after, times, rows))
            cursor.execute(NOTIFY.encode())
        return [entry.position for entry in placed]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """An account's rows in the order of versions, after `gt` and up to `lte`."""
        order = "DESC" if desc else "ASC"
        statement = f"""
            SELECT account_id, version, topic, row_to_json(e)::text AS state
            FROM ledger_events AS e
            WHERE account_id = %s AND version > %s AND version <= %s
            ORDER BY version {order} LIMIT %s"""  # noqa: S608 - order is one of two words
        bounds = (originator_id, gt or 0, _BIGINT_MAX if lte is None else lte, limit)
        with self.datastore.get_connection() as connection:
            return [
                StoredEvent(
                    originator_id=row["account_id"],
                    originator_version=row["version"],
                    topic=row["topic"],
                    state=row["state"].encode(),
                )
                for row in connection.execute(statement.encode(), bounds)
            ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Rows in the order of positions, `limit` at most."""
        after = (start or 0) - 1 if inclusive_of_start else (start or 0)
        statement = """
            SELECT position, account_id, version, topic, row_to_json(e)::text AS state
            FROM ledger_events AS e
            WHERE position > %s AND position <= %s AND (%s::text[] = '{}' OR topic = ANY(%s))
            ORDER BY position LIMIT %s"""
        bounds = (after, _BIGINT_MAX if stop is None else stop, list(topics), list(topics), limit)
        with self.datastore.get_connection() as connection:
            return [
                Notification(
                    id=row["position"],
                    originator_id=row["account_id"],
                    originator_version=row["version"],
                    topic=row["topic"],
                    state=row["state"].encode(),
                )
                for row in connection.execute(statement.encode(), bounds)
            ]

    def max_notification_id(self) -> int | None:
        """The log's last position, or None when it is empty."""
        with self.datastore.get_connection() as connection:
            row = connection.execute(HEAD.encode()).fetchone()
        return row["position"] if row else None
