"""One moment of the database, seen by as many connections and processes as look at it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from ledger.driver import first_message
from ledger.log import select_head
from projections.failures import ViewFailure, failures

CONNECT_SECONDS_MAX = 10
CANCEL_SECONDS_MAX = 2
# Bytes must come as the fold writes them: its time zone, its form of a date.
_SETTINGS = (
    b"SET TimeZone = 'UTC'",
    b"SET DateStyle = 'ISO, YMD'",
    b"SET client_encoding = 'UTF8'",
    b"SET statement_timeout = 0",
    b"SET lock_timeout = '30s'",
    b"SET idle_in_transaction_session_timeout = 0",
    b"SET work_mem = '64MB'",
    b"SET jit = off",
    # Rows that are kept from us are an error, not rows that are not there.
    b"SET row_security = off",
)
_BEGIN = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_POSITIONS = b"SELECT view, position FROM view_positions ORDER BY view"
# Where a text is ordered by its bytes anyhow, an index gives that order.
_BYTEWISE = b"""
SELECT datlocprovider = 'b' OR datlocprovider = 'c' AND datcollate IN ('C', 'POSIX')
FROM pg_database WHERE datname = current_database()"""


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """What was when the snapshot was taken: where the log ended, how far each view had come.

    `refused` says which tables cannot be read, and why; `order` is the expression that orders
    accounts by their bytes.
    """

    snapshot: str
    head: int
    positions: Mapping[str, int]
    failures: Sequence[ViewFailure]
    refused: Mapping[str, str]
    order: str

    def position(self, view: str) -> int:
        """Up to where `view` can be compared; 0 where it says nothing of itself."""
        return min(self.positions.get(view, 0), self.head)


@contextmanager
def taken(url: str, tables: Sequence[str]) -> Iterator[tuple[psycopg.Connection[Any], Baseline]]:
    """Take a snapshot, in which `tables` are looked at. It can be joined as long as the block.

    The tables are locked first, against being replaced: a table that took another's name since
    would seem empty.
    """
    with _connected(url) as connection:
        refused = dict(_refused(connection, tables))
        locked = [sql.Identifier(table) for table in tables if table not in refused]
        connection.execute(_BEGIN)
        if locked:
            lock = sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE")
            connection.execute(lock.format(sql.SQL(", ").join(locked)))
        yield (
            connection,
            Baseline(
                snapshot=str(_one(connection, b"SELECT pg_export_snapshot()")),
                head=select_head(connection),
                positions=dict(connection.execute(_POSITIONS).fetchall()),
                failures=failures(connection),
                refused=refused,
                order="account_id" if _one(connection, _BYTEWISE) else 'account_id COLLATE "C"',
            ),
        )


def _refused(
    connection: psycopg.Connection[Any], tables: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Which tables cannot be read, and why."""
    for table in tables:
        try:
            connection.execute(sql.SQL("SELECT FROM {} LIMIT 0").format(sql.Identifier(table)))
        except psycopg.ProgrammingError as error:  # it is gone, or not for us
            yield table, first_message(error)


@contextmanager
def joined(url: str, snapshot: str) -> Iterator[psycopg.Connection[Any]]:
    """Another connection that sees the very same."""
    with _connected(url) as connection:
        connection.execute(_BEGIN)
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot))
        yield connection


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    connection: psycopg.Connection[Any] = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS_MAX,
        # A server that has vanished without a word is noticed, also while it sorts.
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=60_000,
        row_factory=tuple_row,
        application_name="mintage verify",
    )
    try:
        for setting in _SETTINGS:
            connection.execute(setting)
        yield connection
    except (GeneratorExit, KeyboardInterrupt, SystemExit):
        cancel(connection)
        raise
    finally:
        connection.close()  # and with it a transaction that only read


def cancel(connection: psycopg.Connection[Any]) -> None:
    """End what the server does for it, which may sort the whole log; from any thread."""
    if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=CANCEL_SECONDS_MAX)


def _one(connection: psycopg.Connection[Any], statement: bytes) -> Any:
    row = connection.execute(statement).fetchone()
    return row[0] if row else None
