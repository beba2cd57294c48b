"""The log as a whole: one row a position, times that never go back, and what keeps it so."""

from collections.abc import Iterator
from typing import Any

import psycopg

from projections.verify.finding import Finding, Kind
from projections.verify.report import Report

ROWS_MAX = 2_000
"""The most rows out of order that are looked at one by one."""

_OUT_OF_ORDER = f"""
SELECT position, before, account_id, version, at::text, at_before::text FROM (
    SELECT position, account_id, version, at,
           coalesce(lag(position) OVER log, 0) AS before, lag(at) OVER log AS at_before
    FROM ledger_events WINDOW log AS (ORDER BY position)
) AS row
WHERE position <> before + 1 OR at < at_before
ORDER BY position LIMIT {ROWS_MAX} + 1"""  # noqa: S608 - a constant
# What makes a thing happen once, and what keeps it; where one is missing, only a search can tell.
_GUARDS = b"""
SELECT name, what FROM (VALUES
    ('ledger_events_pkey', 'one row a version of an account'),
    ('ledger_events_position_key', 'one row a position'),
    ('ledger_events_fact_id_key', 'one fact an id'),
    ('ledger_events_key_id_key', 'one fact an idempotency key'),
    ('ledger_events_no_overspend', 'no balance below what is held'),
    ('ledger_events_append_only', 'no change of a row')
) AS guard (name, what)
WHERE NOT EXISTS (
    SELECT FROM pg_index WHERE indrelid = 'ledger_events'::regclass
        AND indexrelid::regclass::text = name AND indisunique AND indisvalid
) AND NOT EXISTS (
    SELECT FROM pg_constraint WHERE conrelid = 'ledger_events'::regclass
        AND conname = name AND contype = 'c' AND convalidated
) AND NOT EXISTS (
    -- 58: before each statement that is an update, a delete or a truncation.
    SELECT FROM pg_trigger JOIN pg_proc AS p ON p.oid = tgfoid
    WHERE tgrelid = 'ledger_events'::regclass AND tgname = name AND tgenabled IN ('O', 'A')
        AND tgtype = 58 AND tgqual IS NULL AND p.prosrc LIKE '%RAISE EXCEPTION%'
)"""
_REPEATED = f"""
SELECT {{column}}, min(position), max(position), count(*) FROM ledger_events
WHERE {{column}} IS NOT NULL GROUP BY {{column}} HAVING count(*) > 1
ORDER BY 2 LIMIT {ROWS_MAX} + 1"""  # noqa: S608 - a constant
_SEARCHED = {
    "ledger_events_fact_id_key": "fact_id",
    "ledger_events_key_id_key": "key_id",
}


def check_log(connection: psycopg.Connection[Any], report: Report) -> Iterator[Finding]:
    """What is wrong with the order of the log, or with what guards it."""
    for name, what in connection.execute(_GUARDS).fetchall():
        yield Finding(kind="guard_missing", detail=f"{name} is missing or off, which keeps: {what}")
        if column := _SEARCHED.get(name):
            yield from _repeated(connection, column, report)
    rows = _bounded(connection, _OUT_OF_ORDER, "are out of order", report)
    for position, before, account_id, version, at, at_before in rows:
        kind: Kind = "time_backwards"
        detail = f"{at} follows {at_before}"
        if position == before:
            kind, detail = "position_repeated", f"position {position} is there more than once"
        elif position != before + 1:
            gone = (
                f"position {before + 1} is"
                if position == before + 2
                else f"positions {before + 1} to {position - 1} are"
            )
            kind, detail = "position_gap", f"{gone} gone before position {position}"
            if position < 1:
                detail = f"position {position} lies before the first"
        yield Finding(
            kind=kind,
            account_id=account_id,
            version=version,
            # A gap is named by what is gone.
            position=before + 1 if kind == "position_gap" and position > 0 else position,
            detail=detail,
        )


def _bounded(
    connection: psycopg.Connection[Any], statement: str, what: str, report: Report
) -> list[tuple[Any, ...]]:
    """The rows, and a word where there are more of them."""
    rows = connection.execute(statement.encode()).fetchall()
    if len(rows) > ROWS_MAX:
        report.incomplete.append(
            f"more than {ROWS_MAX:,} rows of the log {what}: the first ones were looked at"
        )
    return rows[:ROWS_MAX]


def _repeated(
    connection: psycopg.Connection[Any], column: str, report: Report
) -> Iterator[Finding]:
    statement = _REPEATED.format(column=column)
    for value, first, last, count in _bounded(connection, statement, f"share a {column}", report):
        yield Finding(
            kind="id_repeated",
            position=last,
            detail=f"{column} {value} is there {count} times, first at position {first}",
        )
