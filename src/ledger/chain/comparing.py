"""One block against the log's rows: which are not what was chained, and what became of them.

A row is recomputed from the hash kept for the position before it, so what changed is named alone.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg

from ledger.chain import canonical
from ledger.chain.blocks import canonical_bytes
from ledger.chain.canonical import HASH_BYTES
from ledger.chain.errors import UnreadableRowError
from ledger.chain.findings import Broken, at_row, block_changed, missing
from ledger.chain.rows import RowBytes, read_rows

MOVED_MAX = 64
"""Of how many changed rows of a block it is asked whether they stood elsewhere in it."""


class Block(msgspec.Struct, frozen=True):
    """A block as it is kept; `links` is None where it has not one hash for each position."""

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


def check_rows(connection: psycopg.Connection[Any], block: Block) -> list[Broken]:
    """What differs between the log's rows and the block that was closed over them, in order."""
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


def _changed(block: Block, rows: list[RowBytes], found: list[Broken]) -> Iterator[Broken]:
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


def _skips(block: Block, row: RowBytes, following: RowBytes) -> bool:
    """Whether both rows fit, and only the hash kept between them does not."""
    try:
        between = canonical.link(block.link(row.position - 1), canonical_bytes(row))
    except UnreadableRowError:
        return False
    return _leads(between, following, block.link(following.position))


def _stood(block: Block, row: RowBytes, place: int) -> bool:
    return _leads(block.link(place - 1), row.at_position(place), block.link(place))
