"""Closing blocks: the running hash over a bounded range of positions, kept once it is whole."""

import time
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import dict_row

from ledger.chain import canonical, failing
from ledger.chain.errors import (
    ChainError,
    ChainStoppedError,
    MissingRowError,
    UnreadableRowError,
)
from ledger.chain.rows import RowBytes, read_rows

BLOCK_MAX = 4096
"""The most positions of one block; the table's own bound."""

AGE_SECONDS = 60.0
"""A block is closed before it is full once its first event is as old as this."""

REST_ROWS = 128
"""Of a chainer that rests, so that a thread beside it need not wait for the interpreter."""

STUCK_SECONDS = 300.0
"""An event that waits longer than this, while no block is closed, waits in vain."""

_END_OF_CHAIN = b"""
SELECT i.id AS log_id, coalesce(c.block, 0) AS block, coalesce(c.last_position, 0) AS position,
       c.hash, coalesce(h.position, 0) AS head,
       extract(epoch FROM clock_timestamp() - oldest.at)::float8 AS waiting_seconds,
       extract(epoch FROM clock_timestamp() - coalesce(c.made_at, i.made_at))::float8
           AS moved_seconds_ago
FROM ledger_identity AS i
LEFT JOIN LATERAL (
    SELECT block, last_position, hash, made_at FROM ledger_chain ORDER BY block DESC LIMIT 1
) AS c ON true
LEFT JOIN LATERAL (
    SELECT position FROM ledger_events ORDER BY position DESC LIMIT 1
) AS h ON true
LEFT JOIN ledger_events AS oldest ON oldest.position = coalesce(c.last_position, 0) + 1"""
# Whoever comes second has lost: what it would write is there.
_INSERT = b"""
INSERT INTO ledger_chain (block, first_position, last_position, previous_hash, hash, links)
VALUES (%s, %s, %s, %s, %s, %b) ON CONFLICT DO NOTHING"""


class ChainEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Where the chain ends, and how far the log goes beyond.

    `hash` is the running hash after `position`. `waiting_seconds` is the age of the oldest event
    that is not chained, where there is one; `moved_seconds_ago` that of the last block, or of the
    chain itself before there is any.
    """

    log_id: UUID
    block: int
    position: int
    hash: bytes
    head: int
    waiting_seconds: float | None
    moved_seconds_ago: float

    @property
    def is_stuck(self) -> bool:
        """Whether old events wait and no block comes: nobody chains, or nobody can."""
        waiting_seconds = self.waiting_seconds or 0.0
        return min(waiting_seconds, self.moved_seconds_ago) > STUCK_SECONDS

    @property
    def unchained(self) -> int:
        """The log's last events, which nothing protects yet."""
        return max(self.head - self.position, 0)


def chain_end(connection: psycopg.Connection[Any]) -> ChainEnd:
    """How far the chain goes. Raises `ChainError` where the log has lost its identity."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_END_OF_CHAIN).fetchone()
    if row is None:
        raise ChainError("the log has no identity: ledger_identity is empty")
    if row["hash"] is None:
        row["hash"] = canonical.genesis(row["log_id"])
    return msgspec.convert(row, ChainEnd)


def advance(
    connection: psycopg.Connection[Any],
    *,
    age_seconds: float = AGE_SECONDS,
    rest_seconds: float = 0.0,
) -> int:
    """Close the next block, if it is full or old enough; returns how many positions it covers.

    0 says that nothing is due, or that another process was quicker. Any process may call this at
    any time. The connection is in autocommit mode. `rest_seconds` are slept after each `REST_ROWS`.
    Raises `ChainError` in front of a row that is missing or has no canonical bytes.
    """
    at = chain_end(connection)
    if at.unchained >= BLOCK_MAX:
        return close(connection, at, rest_seconds)
    # A gap where the oldest should be has no age; closing tells of it.
    is_old = at.waiting_seconds is None or at.waiting_seconds >= age_seconds
    return close(connection, at, rest_seconds) if at.unchained and is_old else 0


def catch_up(connection: psycopg.Connection[Any]) -> ChainEnd:
    """Chain all that the log has at the call, however young; the chain ends there or later.

    Raises what `advance` does, and `ChainStoppedError`.
    """
    at = chain_end(connection)
    target = at.head
    while at.position < target:
        close(connection, at)
        before, at = at, chain_end(connection)
        if at.position <= before.position:
            raise ChainStoppedError(f"the chain does not move on from position {at.position}")
    return at


def close(connection: psycopg.Connection[Any], at: ChainEnd, rest_seconds: float = 0.0) -> int:
    """Close the block after `at`, full or up to the log's head there; as `advance` returns."""
    first, last = at.position + 1, min(at.head, at.position + BLOCK_MAX)
    links = []
    link, expected = at.hash, first
    for row in read_rows(connection, first, last):
        if row.position != expected:
            break
        link = canonical.link(link, canonical_bytes(row))
        links.append(link)
        expected += 1
        if rest_seconds and expected % REST_ROWS == 0:
            time.sleep(rest_seconds)
    if expected != last + 1:
        raise MissingRowError(expected)
    values = (at.block + 1, first, last, at.hash, link, b"".join(links))
    if not connection.execute(_INSERT, values).rowcount:
        return 0
    failing.clear(connection)
    return len(links)


def canonical_bytes(row: RowBytes) -> bytes:
    """What is hashed of a row. Raises `UnreadableRowError`."""
    try:
        return canonical.row_bytes(row.head, row.document)
    except ValueError as error:
        raise UnreadableRowError(row.position, str(error)) from None
