"""From a time to a position, and from a position to an account's version, by halving.

Time never goes back as positions go up, and an account's positions go up with its versions: so
neither needs an index of its own, and 10 million events take 24 steps in one statement.
"""

from datetime import datetime
from typing import Any

import psycopg

_LAST_VERSION = b"""
SELECT version FROM ledger_events WHERE account_id = %s ORDER BY version DESC LIMIT 1"""
# `low` is known to lie before, `high` not to. Should a row be missing, the next one is looked at.
_LAST_BEFORE = b"""
WITH RECURSIVE halving (low, high) AS (
    SELECT 0::bigint, coalesce(max(position), 0) + 1 FROM (
        SELECT position FROM ledger_events ORDER BY position DESC LIMIT 1) AS last
    UNION ALL
    SELECT CASE WHEN e.at < %(time)s THEN e.position ELSE low END,
           CASE WHEN e.at < %(time)s THEN high ELSE (low + high) / 2 END
    FROM halving CROSS JOIN LATERAL (
        SELECT position, at FROM ledger_events
        WHERE position >= (low + high) / 2 ORDER BY position LIMIT 1) AS e
    WHERE high - low > 1
)
SELECT max(low) FROM halving"""
_VERSION_AT = b"""
WITH RECURSIVE halving (low, high) AS (
    SELECT 0::bigint, coalesce(max(version), 0) + 1 FROM (
        SELECT version FROM ledger_events WHERE account_id = %(account_id)s
        ORDER BY version DESC LIMIT 1) AS last
    UNION ALL
    SELECT CASE WHEN e.position <= %(position)s THEN e.version ELSE low END,
           CASE WHEN e.position <= %(position)s THEN high ELSE (low + high) / 2 END
    FROM halving CROSS JOIN LATERAL (
        SELECT version, position FROM ledger_events
        WHERE account_id = %(account_id)s AND version >= (low + high) / 2
        ORDER BY version LIMIT 1) AS e
    WHERE high - low > 1
)
SELECT max(low) FROM halving"""


def last_version(connection: psycopg.Connection[Any], account_id: str) -> int:
    """The account's last version; 0 where it was never opened."""
    return _number(connection, _LAST_VERSION, (account_id,))


def last_before(connection: psycopg.Connection[Any], time: datetime) -> int:
    """The position of the last event before `time`; 0 where there is none."""
    return _number(connection, _LAST_BEFORE, {"time": time})


def version_at(connection: psycopg.Connection[Any], account_id: str, position: int) -> int:
    """The account's last version that stands at `position` or before; 0 where there is none."""
    return _number(connection, _VERSION_AT, {"account_id": account_id, "position": position})


def _number(connection: psycopg.Connection[Any], statement: bytes, values: Any) -> int:
    row = connection.execute(statement, values).fetchone()
    return int(row[0]) if row else 0
