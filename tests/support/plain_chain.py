"""The chain a second time, in plain Python and from its definition alone; and who tampers with it.

Rows are dicts of Python's own values; `data` is JSON text, read by the standard library.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]

COLUMNS = (
    "position", "account_id", "version", "topic", "at", "actor", "fact_id", "key_id", "input_hash",
    "settled", "held",
)  # fmt: skip
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_SHORT = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_ROWS = """
SELECT *, data::text AS data FROM ledger_events WHERE position BETWEEN %s AND %s
ORDER BY position"""


def canonical(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return str(value)
        case str():
            return '"' + "".join(map(_escaped, value)) + '"'
        case list():
            return "[" + ",".join(map(canonical, value)) + "]"
        case dict():
            names = sorted(value, key=str.encode)
            return "{" + ",".join(f"{canonical(n)}:{canonical(value[n])}" for n in names) + "}"
    raise TypeError(value)


def _escaped(character: str) -> str:
    number = ord(character)
    return _SHORT.get(number) or (f"\\u{number:04x}" if number < 32 else character)


def row_bytes(row: Row) -> bytes:
    data = canonical(json.loads(row["data"], parse_float=Decimal)).encode()
    return b"".join(map(_field, [*(row[name] for name in COLUMNS), data]))


def from_json(document: str) -> Row:
    """A row that is written as one JSON object."""
    row: Row = json.loads(document, parse_float=Decimal)
    for name in ("fact_id", "key_id", "input_hash"):
        row[name] = UUID(row[name]) if row[name] else None
    return row | {"at": datetime.fromisoformat(row["at"]), "data": canonical(row["data"])}


def _field(value: Any) -> bytes:
    match value:
        case None:
            return b"\xff\xff\xff\xff"
        case int():
            content = value.to_bytes(8, signed=True)
        case str():
            content = value.encode()
        case UUID():
            content = value.bytes
        case datetime():
            content = ((value - _EPOCH) // timedelta(microseconds=1)).to_bytes(8, signed=True)
        case _:
            content = value
    return len(content).to_bytes(4) + content


def genesis(log_id: UUID) -> bytes:
    return hashlib.sha256(b"mintage chain 1\n" + log_id.bytes).digest()


def links(previous: bytes, rows: Iterable[Row]) -> list[bytes]:
    """The running hash after each of the rows."""
    found = []
    for row in rows:
        previous = hashlib.sha256(previous + row_bytes(row)).digest()
        found.append(previous)
    return found


def read_rows(url: str, first: int = 1, last: int = 2**62) -> Sequence[Row]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(_ROWS.encode(), (first, last)).fetchall()


def log_id(url: str) -> UUID:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT id FROM ledger_identity").fetchone()
    assert row is not None
    return UUID(str(row[0]))


def tamper(url: str, statement: str, *parameters: Any) -> None:
    """What a superuser can do, past every trigger and foreign key; it must do something."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        done = connection.execute(statement.encode(), parameters)
        assert done.rowcount != 0


def recompute(url: str) -> None:
    """Write the chain anew over the log as it is now, block by block: it fits again."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        previous = genesis(log_id(url))
        for block, first, last in connection.execute(
            "SELECT block, first_position, last_position FROM ledger_chain ORDER BY block"
        ).fetchall():
            found = links(previous, read_rows(url, first, last))
            connection.execute(
                "UPDATE ledger_chain SET previous_hash = %s, hash = %s, links = %s"
                " WHERE block = %s",
                (previous, found[-1], b"".join(found), block),
            )
            previous = found[-1]
