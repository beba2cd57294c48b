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
from ledger.chain.blocks import BLOCK_MAX, canonical_bytes, standing
from ledger.chain.canonical import HASH_BYTES
from ledger.chain.errors import UnreadableRowError
from ledger.chain.findings import Broken, at_row, block_changed, blocks_gone, missing
from ledger.chain.rows import RowBytes, read_rows

MOVED_MAX = 64
"""Of how many changed rows of a block it is asked whether they stood elsewhere in it."""

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


class _Block(msgspec.Struct, frozen=True):
    block: int
    first_position: int
    last_position: int
    previous_hash: bytes
    hash: bytes
    links: bytes | None

    def link(self, position: int) -> bytes:
        """The running hash after `position`, as kept; that before the block's first one too."""
        assert self.links is not None
        at = (position - self.first_position) * HASH_BYTES
        return self.previous_hash if at < 0 else self.links[at : at + HASH_BYTES]


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
    chained: `standing(connection).unchained` says how many events that is. Memory is constant.
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
        return _End(0, 0, canonical.genesis(standing(connection).log_id))
    before = _next_block(connection, first - 1, first - 1)
    if before is None:
        return _End(first - 1, None, None)
    return _End(first - 1, before.last_position, before.hash)


def _next_block(connection: psycopg.Connection[Any], first: int, last: int | None) -> _Block | None:
    bounds = (first, _BIGINT_MAX if last is None else last)
    with connection.cursor(row_factory=class_row(_Block)) as cursor:
        return cursor.execute(_BLOCK.encode(), bounds, binary=True).fetchone()


def _check_block(
    connection: psycopg.Connection[Any], block: _Block, before: _End
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
    yield from _check_rows(connection, block)


def _wrong(block: _Block, problem: str) -> Broken:
    return block_changed(block.block, block.first_position, block.last_position, problem)


def _check_rows(connection: psycopg.Connection[Any], block: _Block) -> list[Broken]:
    found: list[Broken] = []
    changed: list[RowBytes] = []
    expected, link = block.first_position, block.previous_hash
    for row in read_rows(connection, block.first_position, block.last_position):
        if row.position < expected:
            found.append(at_row("inserted", block.block, row, "is there more than once"))
            continue
        if row.position > expected:
            found.append(missing(block.block, expected, row.position - 1))
            link = block.link(row.position - 1)
        kept = block.link(row.position)
        if not _leads(link, row, kept):
            changed.append(row)
        expected, link = row.position + 1, kept
    if expected <= block.last_position:
        found.append(missing(block.block, expected, block.last_position))
    found += _changed(block, changed, found)
    return sorted(found, key=lambda each: each.position or 0)


def _leads(link: bytes, row: RowBytes, kept: bytes) -> bool:
    """Whether the row, after `link`, has the running hash `kept`."""
    try:
        return canonical.link(link, canonical_bytes(row)) == kept
    except UnreadableRowError:
        return False


def _changed(block: _Block, rows: list[RowBytes], found: list[Broken]) -> Iterator[Broken]:
    """Name rows that are not what was chained; where one stood elsewhere in the block, say so."""
    gaps = [each for each in found if each.kind == "missing"]
    places = [row.position for row in rows]
    for gap in gaps:
        assert gap.position is not None
        assert gap.last_position is not None
        places += range(gap.position, min(gap.last_position, gap.position + MOVED_MAX) + 1)
    after = {row.position: row for row in rows}
    for number, row in enumerate(rows):
        if row.position not in after:
            continue
        following = after.get(row.position + 1)
        if following and _skips(block, row, following):
            del after[following.position]
            problem = f"keeps another hash for position {row.position}"
            yield block_changed(block.block, row.position, row.position, problem)
            continue
        near = places[:MOVED_MAX] if number < MOVED_MAX else []
        stood = next((place for place in near if _stood(block, row, place)), None)
        if stood is None:
            yield at_row("changed", block.block, row, "is not what was chained")
        else:
            yield at_row("moved", block.block, row, f"is the one that stood at position {stood}")


def _skips(block: _Block, row: RowBytes, following: RowBytes) -> bool:
    """Whether both rows fit, and only the hash kept between them does not."""
    try:
        between = canonical.link(block.link(row.position - 1), canonical_bytes(row))
    except UnreadableRowError:
        return False
    return _leads(between, following, block.link(following.position))


def _stood(block: _Block, row: RowBytes, place: int) -> bool:
    return _leads(block.link(place - 1), row.at_position(place), block.link(place))


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
