"""An account's events with running numbers, newest first, in pages."""

from typing import Any

import psycopg

from projections.audit.lines import LIMIT_MAX, Line, select_lines

_VERSION_MAX = 2**63 - 1
_PAGE = """
SELECT * FROM ledger_events
WHERE account_id = %(account_id)s AND version < %(before)s
ORDER BY version DESC LIMIT %(limit)s"""
_MOVEMENTS = """
SELECT * FROM ledger_events
WHERE account_id = %(account_id)s AND version <= %(version)s
    AND split_part(topic, ':', 1) NOT IN (
        'account_opened', 'membership_changed', 'generation_requested')
ORDER BY version DESC LIMIT %(limit)s"""


def timeline(
    connection: psycopg.Connection[Any], account_id: str, *, before: int | None = None, limit: int
) -> list[Line]:
    """At most `limit` events with versions below `before`; none of an account that never was."""
    values = {
        "account_id": account_id,
        "before": _VERSION_MAX if before is None else before,
        "limit": _limit(limit),
    }
    return select_lines(connection, _PAGE, values)


def movements(
    connection: psycopg.Connection[Any], account_id: str, *, version: int, limit: int
) -> list[Line]:
    """The last `limit` facts up to `version` that gave, took or ended a hold on tokens."""
    values = {"account_id": account_id, "version": version, "limit": _limit(limit)}
    return select_lines(connection, _MOVEMENTS, values)


def _limit(limit: int) -> int:
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit must lie in 1..{LIMIT_MAX}")
    return limit
