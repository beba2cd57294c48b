"""Appending rows to the log: the statement, and its parameters as texts or as the server has them.

A column is one parameter. Numbers and ids are arrays; texts are one text, apart by a character that
JSON escapes and no other column may hold, for the server splits it sooner than an array is made.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from ledger import lookups, terms
from ledger.entry import Entry
from ledger.log import CHANNEL, LOCK, TABLE

Row = tuple[Any, ...]
"""An entry's columns, but for position and time."""

_COLUMNS = {
    "account_id": "text",
    "version": "bigint[]",
    "topic": "text",
    "actor": "text",
    "fact_id": "uuid[]",
    "key_id": "uuid[]",
    "input_hash": "uuid[]",
    "settled": "bigint[]",
    "held": "bigint[]",
    "data": "text",
}
SEPARATOR = "\x1e"
_TEXT, _BINARY = 0, 1
# As the server takes an array of one dimension, in which there may be NULL: its type's number, its
# length and first index; then each value behind its length.
_ARRAY = struct.Struct(">iiIii")
_BIGINT, _UUID = 20, 2950
_EIGHT, _SIXTEEN, _NULL = (struct.pack(">i", length) for length in (8, 16, -1))


def _append(*, at: str = "{}::timestamptz", under: str = "") -> str:
    """How rows are inserted, at positions from one to another, with `at` as what their time is.

    What returns rows stands in the list of columns, for in FROM its rows would be kept in a store
    on the way, and joined to `under`, which takes a fifth of it all.
    """
    columns = [
        f"unnest(string_to_array({{}}, E'\\x1e')) AS {name}"
        if kind == "text"
        else f"unnest({{}}::{kind}) AS {name}"
        for name, kind in _COLUMNS.items()
    ]
    return f"""
INSERT INTO {TABLE} (position, at, {", ".join(_COLUMNS)})
SELECT position, at, {", ".join(_COLUMNS)}::jsonb
FROM (
    SELECT generate_series({{}}::bigint, {{}}::bigint) AS position, {at} AS at, {", ".join(columns)}
    {under}
) AS r"""  # noqa: S608 - constants


APPEND = _append()
APPEND_AT_TIMES = _append(at="unnest(string_to_array({}, E'\\x1e')::timestamptz[])")
"""The same with a time for each row, apart like any text."""

TYPES = ("bigint", "bigint", "timestamptz", *_COLUMNS.values())
FORMATS = [_BINARY if kind.endswith("[]") else _TEXT for kind in TYPES]
"""Of `wire_parameters`."""

# All of a batch decided ahead as one statement, and so one transaction. OFFSET keeps the planner
# from taking the functions to where they would be called for each row.
_CHECKS = f"{terms.CHECK}, {lookups.CHECK_ABSENT}"
_ONCE = f"FROM ({LOCK}, {_CHECKS}, pg_notify('{CHANNEL}', '') {{}} OFFSET 0) AS once"
APPEND_ALONE = _append(under=_ONCE.format("{}", "{}", ""))
# A column would be left out, since nobody uses it.
_FOLLOWS = f"WHERE 1 / (SELECT count(*) FROM {TABLE} WHERE position = {{}} AND fact_id = {{}}) = 1"  # noqa: S608
APPEND_NEXT = _append(under=_ONCE.format("{}", "{}", _FOLLOWS))
"""The same behind a batch that is under way on the same connection.

An error, and so no commit, where that one's last row has not become part of the log.
"""
ALONE_TYPES = (*TYPES, "uuid", "uuid[]")
NEXT_TYPES = (*ALONE_TYPES, "bigint", "uuid")


def row(entry: Entry, data: str) -> Row:
    """The row of an entry, with its fact as text."""
    return (
        entry.account_id,
        entry.version,
        entry.fact.TOPIC,
        entry.actor,
        entry.fact_id,
        entry.key_id,
        entry.input_hash,
        entry.settled,
        entry.held,
        data,
    )


def text_parameters(after: int, at: str, rows: Sequence[Row]) -> list[str]:
    """The parameters of `APPEND`: `rows` of one time, at the positions that follow `after`."""
    return [
        str(after + 1),
        str(after + len(rows)),
        at,
        *(
            SEPARATOR.join(values) if kind == "text" else _literal(values)
            for kind, values in _by_column(rows)
        ),
    ]


def wire_parameters(
    after: int, at: str, rows: Sequence[Row], under: UUID | None, absent: Sequence[UUID]
) -> list[bytes | None]:
    """Those of `APPEND_ALONE`, and most of `APPEND_NEXT`.

    The rows, under which terms, and what must not be in the log.
    """
    return [
        str(after + 1).encode(),
        str(after + len(rows)).encode(),
        at.encode(),
        *(_ENCODERS[kind](values) for kind, values in _by_column(rows)),
        under.hex.encode() if under else None,
        _literal(absent).encode() if absent else None,
    ]


def follow_parameters(position: int, last: Row) -> list[bytes]:
    """The rest of `APPEND_NEXT`: where the batch before it ends, and with which row."""
    return [str(position).encode(), last[4].hex.encode()]


def _by_column(rows: Sequence[Row]) -> Iterable[tuple[str, tuple[Any, ...]]]:
    return zip(_COLUMNS.values(), zip(*rows, strict=True), strict=True)


def _literal(values: Iterable[int | UUID | None]) -> str:
    return "{" + ",".join("NULL" if each is None else str(each) for each in values) + "}"


def _texts(values: Sequence[str]) -> bytes:
    return SEPARATOR.join(values).encode()


def _bigints(values: Sequence[int]) -> bytes:
    head = _ARRAY.pack(1, 1, _BIGINT, len(values), 1)
    return _EIGHT.join([head, *[each.to_bytes(8) for each in values]])


def _uuids(values: Sequence[UUID | None]) -> bytes:
    head = _ARRAY.pack(1, 1, _UUID, len(values), 1)
    chunks = [_SIXTEEN + each.int.to_bytes(16) if each else _NULL for each in values]
    return head + b"".join(chunks)


_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "text": _texts,
    "bigint[]": _bigints,
    "uuid[]": _uuids,
}
