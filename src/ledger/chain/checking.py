"""Checking the chain: every block is recomputed from the log's rows, and what differs is named.

Each position's link is recomputed from the link kept for the position before, so one changed row
is one finding, whatever stands after it. Blocks are independent: ranges of them may be checked at
once, on several connections. The log and the chain should be seen by one snapshot (REPEATABLE
READ); both only grow, so without one nothing false is found either.

An owner of the tables can change a row and recompute all that follows. Only a seal that was kept
elsewhere tells then (`ledger.chain.seal`).
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row, tuple_row

from ledger.chain import canonical
from ledger.chain.blocks import BLOCK_MAX, chain_end
from ledger.chain.canonical import HASH_BYTES
from ledger.chain.comparing import Block, check_rows
from ledger.chain.findings import Broken, block_changed, blocks_gone

OUTSIDE_MAX = 100
"""The most rows below position 1 that are named."""

_BIGINT_MAX = 2**63 - 1
_BLOCK = f"""
SELECT block, first_position, last_position, previous_hash, hash,
       CASE WHEN last_position - first_position BETWEEN 0 AND {BLOCK_MAX - 1}
                AND octet_length(links) = {HASH_BYTES} * (last_position - first_position + 1)
            THEN links END AS links
FROM ledger_chain WHERE block BETWEEN %s AND %s ORDER BY block LIMIT 1"""  # noqa: S608 - constants
_BELOW = f"""
SELECT position, account_id, version FROM ledger_events WHERE position < 1
ORDER BY position LIMIT {OUTSIDE_MAX}"""  # noqa: S608 - a constant
_TAIL = (
    b"SELECT count(*), coalesce(max(position), %(end)s) FROM ledger_events WHERE position > %(end)s"
)
_TAIL_GAP = b"""
SELECT min(expected) FROM (
    SELECT position, %(end)s + row_number() OVER (ORDER BY position) AS expected
    FROM ledger_events WHERE position > %(end)s
) AS tail WHERE position <> expected"""


class _End(msgspec.Struct, frozen=True):
    """Where the block before ended; nothing is known of it where it is gone."""

    block: int
    position: int | None
    hash: bytes | None


def check(
    connection: psycopg.Connection[Any], first: int = 1, last: int | None = None
) -> Iterator[Broken]:
    """Recompute blocks `first` to `last` (None: to the chain's end); yields what is wrong.

    A range from 1 also looks below position 1, one to None also for gaps in the tail that is not
    chained: `chain_end(connection).unchained` says how many events that is. Memory is constant.
    """
    end = _end_before(connection, first)
    if first == 1:
        yield from _below(connection)
    while block := _next_block(connection, end.block + 1, last):
        if block.block > end.block + 1:
            yield blocks_gone(end.block + 1, block.block - 1, end.position, block.first_position)
            end = _End(block.block - 1, None, None)
        yield from _check_block(connection, block, end)
        end = _End(block.block, block.last_position, block.hash)
    if last is None:
        yield from _tail(connection, end)
    elif end.block < last:
        yield blocks_gone(end.block + 1, last, end.position, None)


def _end_before(connection: psycopg.Connection[Any], first: int) -> _End:
    if first <= 1:
        return _End(0, 0, canonical.genesis(chain_end(connection).log_id))
    before = _next_block(connection, first - 1, first - 1)
    if before is None:
        return _End(first - 1, None, None)
    return _End(first - 1, before.last_position, before.hash)


def _next_block(connection: psycopg.Connection[Any], first: int, last: int | None) -> Block | None:
    bounds = (first, _BIGINT_MAX if last is None else last)
    with connection.cursor(row_factory=class_row(Block)) as cursor:
        return cursor.execute(_BLOCK.encode(), bounds, binary=True).fetchone()


def _check_block(
    connection: psycopg.Connection[Any], block: Block, before: _End
) -> Iterator[Broken]:
    if before.position is not None and (block.first_position, block.previous_hash) != (
        before.position + 1,
        before.hash,
    ):
        yield _wrong(block, "does not follow the one before it")
    if block.links is None:
        yield _wrong(block, "has not one hash for each of its positions")
        return
    if block.hash != block.link(block.last_position):
        yield _wrong(block, "has another hash than its last position")
    yield from check_rows(connection, block)


def _wrong(block: Block, problem: str) -> Broken:
    return block_changed(block.block, block.first_position, block.last_position, problem)


def _below(connection: psycopg.Connection[Any]) -> Iterator[Broken]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        for position, account_id, version in cursor.execute(_BELOW.encode()).fetchall():
            yield Broken(
                kind="inserted",
                block=0,
                position=position,
                last_position=position,
                account_id=account_id,
                version=version,
                problem=f"a row stands at position {position}, before the first",
            )


def _tail(connection: psycopg.Connection[Any], end: _End) -> Iterator[Broken]:
    """A gap in what is not chained yet: a row was deleted before its block was closed."""
    if end.position is None:
        return
    with connection.cursor(row_factory=tuple_row) as cursor:
        bounds = {"end": end.position}
        count, head = cursor.execute(_TAIL, bounds).fetchone() or (0, end.position)
        if count == head - end.position:
            return
        (position,) = cursor.execute(_TAIL_GAP, bounds).fetchone() or (None,)
    yield Broken(
        kind="missing",
        block=end.block + 1,
        position=position,
        last_position=head - 1,
        problem=f"of positions {end.position + 1} to {head}, not chained yet, "
        f"{head - end.position - count} are missing, {position} the first",
    )
