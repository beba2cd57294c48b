"""The log in PostgreSQL: how it is locked, read and appended to.

Positions are counted up under one advisory lock that every writer takes, so that log order is
commit order and nobody who pages by position can pass over a row. The library's own LOCK TABLE
would do the same, but it fights autovacuum and CREATE INDEX CONCURRENTLY.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
import psycopg
from eventsourcing.persistence import Notification, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.rows import dict_row, tuple_row

from ledger import terms
from ledger.account import Account
from ledger.codec import decode_entry, encode_fact
from ledger.entry import Entry
from ledger.facts import ACCOUNT_ID

TABLE = "ledger_events"

CHANNEL = "ledger_events"
"""NOTIFY channel that wakes readers after each commit; its payload is empty."""

_WRITERS_LOCK = 0x6D696E74616765  # "mintage"

TAIL_MAX = 10_000
"""The most events by which one account is brought level in one query."""

LOCK = f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})"
HEAD = "SELECT position, at FROM ledger_events ORDER BY position DESC LIMIT 1"
# Without the time, which a verification may be unable to read.
_LAST_POSITION = b"SELECT position FROM ledger_events ORDER BY position DESC LIMIT 1"
# Parameters stand as {}. Ids travel as one text that the server splits: the client's array type
# is ten times slower.
TAILS = f"""
SELECT row_to_json(e)::text
FROM unnest(string_to_array({{}}, ','), string_to_array({{}}, ',')::bigint[])
    AS known (account_id, version)
CROSS JOIN LATERAL (
    SELECT * FROM ledger_events AS l
    WHERE l.account_id = known.account_id AND l.version > known.version
    ORDER BY l.version LIMIT {TAIL_MAX}
) AS e"""  # noqa: S608 - a constant
KNOWN = """
WITH ids AS MATERIALIZED (SELECT string_to_array({}, ',')::uuid[] AS list)
SELECT row_to_json(e)::text FROM ids, ledger_events AS e WHERE e.key_id = ANY(ids.list)
UNION ALL
SELECT row_to_json(e)::text FROM ids, ledger_events AS e WHERE e.fact_id = ANY(ids.list)"""
# Each column is one text, its values apart by a control character that JSON escapes and no other
# column may hold: cheaper for both sides than arrays, or than one JSON document for all.
_SEPARATOR = "\x1e"


def _append(*, at: str, under: str = "") -> str:
    """How rows are inserted, at positions from one to another, with `at` as what their time is.

    Functions that return rows stand in the list of columns, for in FROM their rows would be kept in
    a store on the way, which with a join to `under` costs a fifth of it all.
    """
    texts, or_null = "unnest(string_to_array({}, E'\\x1e'))", "string_to_array({}, E'\\x1e', '')"
    numbers, ids = (
        f"unnest(string_to_array({{}}, E'\\x1e')::{kind}[])" for kind in ("bigint", "uuid")
    )
    return f"""
INSERT INTO ledger_events
    (position, account_id, version, topic, at, actor, fact_id, key_id, input_hash, settled, held,
     data)
SELECT position, account_id, version, topic, at, actor, fact_id, key_id, input_hash, settled, held,
       data::jsonb
FROM (
    SELECT generate_series({{}}::bigint, {{}}::bigint) AS position, {texts} AS account_id,
           {numbers} AS version, {texts} AS topic, {at} AS at, {texts} AS actor, {ids} AS fact_id,
           unnest({or_null}::uuid[]) AS key_id, unnest({or_null}::uuid[]) AS input_hash,
           {numbers} AS settled, {numbers} AS held, {texts} AS data
    {under}
) AS r"""  # noqa: S608 - constants


APPEND = _append(at="{}::timestamptz")  # no text, or it would be read for each row
APPEND_TYPES = ("bigint", "bigint", "text", "text", "text", "timestamptz", *["text"] * 7)
NOTIFY = f"NOTIFY {CHANNEL}"
# All of a batch decided ahead as one statement, and so one transaction. OFFSET keeps the planner
# from taking the functions to where they would be called for each row.
_ONCE = f"FROM ({LOCK}, {terms.CHECK}, pg_notify('{CHANNEL}', '') {{}} OFFSET 0) AS once"
APPEND_ALONE = _append(at="{}::timestamptz", under=_ONCE.format("{}", ""))
# The same behind a batch that is under way on the same connection: an error, and so no commit,
# where that one's last row has not become part of the log. (A column would be left out as unused.)
_FOLLOWS = f"""
    WHERE 1 / (SELECT count(*) FROM {TABLE} WHERE position = {{}} AND fact_id = {{}}) = 1"""  # noqa: S608
APPEND_NEXT = _append(at="{}::timestamptz", under=_ONCE.format("{}", _FOLLOWS))
FOLLOWS_TYPES = ("bigint", "uuid")
_APPEND_AT_TIMES = _append(at="unnest(string_to_array({}, E'\\x1e')::timestamptz[])")

_BIGINT_MAX = 2**63 - 1


class Head:
    """Where the log ends: its last position (0 when empty) and that event's time."""

    __slots__ = ("at", "position")

    def __init__(self, row: tuple[int, datetime | None] | None) -> None:
        self.position: int = row[0] if row else 0
        self.at: datetime | None = row[1] if row else None


def select_head(connection: psycopg.Connection[Any]) -> int:
    """The log's last position; 0 when it is empty."""
    row = connection.execute(_LAST_POSITION).fetchone()
    return int(row[0]) if row else 0


def entries(rows: Iterable[Sequence[Any]]) -> list[Entry]:
    """The entries of rows that hold one JSON document each."""
    return [decode_entry(row[0]) for row in rows]


Row = tuple[str, ...]
"""An entry's columns as `APPEND` takes them, but for position and time."""


def row(entry: Entry, data: str) -> Row:
    """The row of an entry, with its fact as text."""
    return (
        entry.account_id,
        str(entry.version),
        entry.fact.TOPIC,
        entry.actor,
        entry.fact_id.hex,  # a third of what str() takes, and as good for the server
        entry.key_id.hex if entry.key_id else "",
        entry.input_hash.hex if entry.input_hash else "",
        str(entry.settled),
        str(entry.held),
        data,
    )


def append_parameters(after: int, at: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """The parameters of `APPEND`, in order: `rows` of one time, at the positions after `after`."""
    ids, versions, topics, *others = map(_SEPARATOR.join, zip(*rows, strict=True))
    return (str(after + 1), str(after + len(rows)), ids, versions, topics, at, *others)


def follow_parameters(position: int, last: Row) -> tuple[str, str]:
    """What `APPEND_NEXT` takes after the terms: where the batch before ends, and with which row."""
    return str(position), last[4]


def tail_parameters(accounts: Sequence[Account]) -> tuple[str, str] | None:
    """The parameters of `TAILS`; None where no account has an id that the log can know."""
    accounts = [account for account in accounts if ACCOUNT_ID.fullmatch(account.account_id)]
    ids = ",".join(account.account_id for account in accounts)
    return (ids, ",".join(str(account.version) for account in accounts)) if accounts else None


def select_tails(
    connection: psycopg.Connection[Any], accounts: Sequence[Account]
) -> Iterable[Sequence[Any]]:
    """Rows of what the log has beyond `accounts`, each account's in the order of versions."""
    parameters = tail_parameters(accounts)
    if parameters is None:
        return ()
    return connection.execute(TAILS.format("%s", "%s").encode(), parameters, prepare=True)


def select_known(
    connection: psycopg.Connection[Any], ids: Sequence[UUID]
) -> Iterable[Sequence[Any]]:
    """Rows whose key id or fact id is among `ids`."""
    if not ids:
        return ()
    return connection.execute(KNOWN.format("%s").encode(), (",".join(map(str, ids)),), prepare=True)


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
                times = _SEPARATOR.join(entry.at.isoformat() for entry in placed)
                append = _APPEND_AT_TIMES.format(*["%s"] * len(APPEND_TYPES))
                after = placed[0].position - 1
                cursor.execute(append.encode(), append_parameters(after, times, rows))
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
