"""A long and valid log, made in SQL: what benchmarks of the whole log read."""

from pathlib import Path
from typing import Any

import click
import psycopg
from psycopg import sql

_SQL = (Path(__file__).parent / "history.sql").read_text(encoding="utf-8")
# What makes a load slow is taken away for it and made again after it.
_CONSTRAINTS = b"""
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = 'ledger_events'::regclass AND contype IN ('p', 'u')"""
_INDEXES = b"""
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = 'ledger_events'::regclass
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"""
_COUNT = b"SELECT coalesce(max(position), 0) FROM ledger_events"

EVENTS_MIN = 1_000
OTHERS_SHARE = 0.04
"""How much of the log is neither a request nor an ending, the openings left aside."""

LONG_ACCOUNT = "bench-0"
"""The account with the longest stream: 10,000 events, or a fifth of a short log."""


def ensure_history(url: str, events: int, *, grown: float = 0) -> None:
    """Fill the empty log at `url` with `events` valid events; one that has as many stays.

    `url` is for the owner's role; some 40,000 events a second. Raises `ClickException` where the
    log holds another number; `grown` is the part by which it may have grown since.
    """
    if events < EVENTS_MIN:
        raise ValueError(f"a history has {EVENTS_MIN} events at least")
    with psycopg.connect(url) as connection:
        (present,) = connection.execute(_COUNT).fetchone() or (0,)
        if events <= present <= events * (1 + grown):
            return
        if present:
            raise click.ClickException(
                f"the log holds {present} events already, not {events}: ask for as many, "
                "or name another --home"
            )
        _fill(connection, events)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) ledger_events")


def accounts_of(events: int) -> int:
    """How many accounts a history of so many events has: bench-0 and on."""
    return max(10, events // 100)


def _fill(connection: psycopg.Connection[Any], events: int) -> None:
    constraints = connection.execute(_CONSTRAINTS).fetchall()
    indexes = connection.execute(_INDEXES).fetchall()
    table = sql.SQL("ALTER TABLE ledger_events {}")
    for name, _ in constraints:
        drop = sql.SQL("DROP CONSTRAINT {}").format(sql.Identifier(name))
        connection.execute(table.format(drop))
    for name, _ in indexes:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    accounts = accounts_of(events)
    others = int((events - 2 * accounts) * OTHERS_SHARE)
    others += (events - 2 * accounts - others) % 2
    numbers = {
        "events": events,
        "accounts": accounts,
        "others": others,
        "generations": (events - 2 * accounts - others) // 2,
        "long": min(10_000, events // 5),
    }
    statements = sql.SQL(_SQL).format(**{k: sql.Literal(v) for k, v in numbers.items()})
    connection.execute(statements)
    connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
    for name, definition in constraints:
        add = sql.SQL("ADD CONSTRAINT {} {}").format(sql.Identifier(name), sql.SQL(definition))
        connection.execute(table.format(add))
    for _, definition in indexes:
        connection.execute(definition.encode())
