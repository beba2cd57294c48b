"""Events of the log as they stand there, by a walk: in slices, each in bounded time."""

from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
from psycopg.rows import tuple_row

from projections.audit.types import type_of
from projections.audit.walks import Walk

LIMIT_MAX = 10_000
"""The most events of one slice."""

WINDOWS = {"position": 10_000, "version": 1_000}
"""How many places one slice of a walk that is not exact looks at; an account's lie far apart."""

COUNT_WINDOW = 200_000

_TIME = """to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_COLUMNS = f"position, account_id, version, topic, {_TIME}, actor, data::text"


class Event(msgspec.Struct, frozen=True):
    """One event; `at` is RFC 3339 in UTC, `data` the fact as it was recorded."""

    position: int
    account_id: str
    version: int
    type: str
    at: str
    actor: str
    data: msgspec.Raw


class Slice(msgspec.Struct, frozen=True):
    """Some events, and the place that the next slice begins at; None where there is none."""

    events: list[Event]
    next_place: int | None


def read_slice(
    connection: psycopg.Connection[Any],
    walk: Walk,
    *,
    place: int | None = None,
    descending: bool = False,
    limit: int,
    windows: int = 1,
) -> Slice:
    """At most `limit` events from `place` on, which does not count; from an end where it is None.

    A walk that is not exact looks at so many `windows` of places: fewer events than `limit`, even
    none, are not its end then. The end is where `next_place` is None.
    """
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit must lie in 1..{LIMIT_MAX}")
    window = None if walk.is_exact else windows * WINDOWS[walk.by]
    low, high = _span(walk, place, descending=descending, window=window)
    if low >= high:
        return Slice([], None)
    order = "DESC" if descending else "ASC"
    statement = f"""
        SELECT {_COLUMNS} FROM ledger_events WHERE {_within(walk)}
        ORDER BY {walk.by} {order} LIMIT %(limit)s"""  # noqa: S608 - words of our own
    values = {**walk.values, "low": low, "high": high, "limit": limit + 1}
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(statement.encode(), values).fetchall()
    events = [
        Event(position, account_id, version, type_of(topic), at, actor, msgspec.Raw(data))
        for position, account_id, version, topic, at, actor, data in rows[:limit]
    ]
    if len(rows) > limit:
        return Slice(events, getattr(events[-1], walk.by))
    if descending:
        return Slice(events, low + 1 if low > walk.low else None)
    return Slice(events, high if high < walk.high else None)


def spans(walk: Walk) -> Iterator[tuple[int, int]]:
    """The walk in parts, each counted in a bounded time."""
    step = max(walk.high, 1) if walk.is_whole or walk.is_of_few else COUNT_WINDOW
    for low in range(walk.low, walk.high, step):
        yield low, min(low + step, walk.high)


def count_in(connection: psycopg.Connection[Any], walk: Walk, span: tuple[int, int]) -> int:
    """How many events one of the walk's `spans` has."""
    low, high = span
    if walk.is_whole:
        return high - low
    statement = f"SELECT count(*) FROM ledger_events WHERE {_within(walk)}"  # noqa: S608 - words of our own
    values = {**walk.values, "low": low, "high": high}
    row = connection.execute(statement.encode(), values).fetchone()
    assert row is not None
    return int(row[0])


def _within(walk: Walk) -> str:
    span = f"{walk.by} > %(low)s AND {walk.by} <= %(high)s"
    return f"{walk.where} AND {span}" if walk.where else span


def _span(
    walk: Walk, place: int | None, *, descending: bool, window: int | None
) -> tuple[int, int]:
    low, high = walk.low, walk.high
    if descending:
        high = high if place is None else min(high, place - 1)
        return low if window is None else max(low, high - window), high
    low = low if place is None else max(low, place)
    return low, high if window is None else min(high, low + window)
