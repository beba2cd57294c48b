"""The log in PostgreSQL: how it is locked, read and appended to.

Positions are counted up under one advisory lock that every writer takes, so that log order is
commit order and nobody who pages by position can pass over a row. The library's own LOCK TABLE
would do the same, but it fights autovacuum and CREATE INDEX CONCURRENTLY.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from ledger.account import Account
from ledger.codec import decode_entry
from ledger.entry import Entry
from ledger.facts import ACCOUNT_ID

TABLE = "ledger_events"

CHANNEL = "ledger_events"
"""NOTIFY channel that wakes readers after each commit; its payload is empty."""

_WRITERS_LOCK = 0x6D696E74616765  # "mintage"

TAIL_MAX = 10_000
"""The most events by which one account is brought level in one query."""

WRITTEN_MAX = 1_000
"""The most events of other processes whose accounts are asked for, to know the rest unchanged."""

LOCK = f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})"
HEAD = "SELECT position, at FROM ledger_events ORDER BY position DESC LIMIT 1"
# Without the time, which a verification may be unable to read.
HEAD_POSITION = "SELECT position FROM ledger_events ORDER BY position DESC LIMIT 1"
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
# Nothing where they are more, which the server knows before it reads one.
WRITTEN = f"""
SELECT account_id FROM ledger_events
WHERE position > {{}} AND ({HEAD_POSITION}) <= {{}} + {WRITTEN_MAX}"""  # noqa: S608 - constants
NOTIFY = f"NOTIFY {CHANNEL}"


class Head:
    """Where the log ends: its last position (0 when empty) and that event's time."""

    __slots__ = ("at", "position")

    def __init__(self, row: tuple[int, datetime | None] | None) -> None:
        self.position: int = row[0] if row else 0
        self.at: datetime | None = row[1] if row else None


def select_head(connection: psycopg.Connection[Any]) -> int:
    """The log's last position; 0 when it is empty."""
    row = connection.execute(HEAD_POSITION.encode()).fetchone()
    return int(row[0]) if row else 0


def entries(rows: Iterable[Sequence[Any]]) -> list[Entry]:
    """The entries of rows that hold one JSON document each."""
    return [decode_entry(row[0]) for row in rows]


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
