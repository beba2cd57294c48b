"""What a check of the chain finds, and how each finding reads."""

from typing import Literal

import msgspec

from ledger.chain.rows import RowBytes

Kind = Literal["changed", "moved", "missing", "inserted", "block_missing", "block_changed"]


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """One finding, at positions `position` to `last_position` (None: of a block as a whole).

    `changed`        the row is not the one that was chained
    `moved`          the row stood at another position of its block: swapped, say
    `missing`        a row that was chained is gone
    `inserted`       a row stands where there is none in the chain
    `block_missing`  blocks of the chain are gone
    `block_changed`  a block of the chain does not fit what stands before it, or itself
    """

    kind: Kind
    block: int
    position: int | None = None
    last_position: int | None = None
    account_id: str | None = None
    version: int | None = None
    problem: str


def at_row(kind: Kind, block: int, row: RowBytes, problem: str) -> Broken:
    """Something is wrong with a row that is there."""
    return Broken(
        kind=kind,
        block=block,
        position=row.position,
        last_position=row.position,
        account_id=row.account_id,
        version=row.version,
        problem=f"the row at position {row.position} {problem}",
    )


def missing(block: int, first: int, last: int) -> Broken:
    """Rows that were chained are gone."""
    rows = f"the row at position {first} is" if first == last else f"rows {first} to {last} are"
    return Broken(
        kind="missing",
        block=block,
        position=first,
        last_position=last,
        problem=f"{rows} gone",
    )


def block_changed(block: int, first: int, last: int, problem: str) -> Broken:
    """A block of the chain itself is wrong."""
    return Broken(
        kind="block_changed",
        block=block,
        position=first,
        last_position=last,
        problem=f"block {block} of the chain {problem}",
    )


def blocks_gone(first: int, last: int, after: int | None, before: int | None) -> Broken:
    """Blocks are gone, between the positions `after` and `before` where those are known."""
    blocks = f"block {first} is" if first == last else f"blocks {first} to {last} are"
    return Broken(
        kind="block_missing",
        block=first,
        position=None if after is None else after + 1,
        last_position=None if before is None else before - 1,
        problem=f"{blocks} gone from the chain",
    )
