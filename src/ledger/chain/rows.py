"""Rows of the log as bytes: PostgreSQL's binary COPY is our canonical form, but for `data`."""

from collections.abc import Iterator
from struct import Struct
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

# `data` comes first, so that all after it is the head of the canonical bytes, untouched.
_COPY = """
COPY (
    SELECT data, position, account_id, version, topic, at, actor, fact_id, key_id, input_hash,
           settled, held
    FROM ledger_events WHERE position BETWEEN {} AND {} ORDER BY position
) TO STDOUT (FORMAT binary)"""
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
_END = b"\xff\xff"
_JSONB_VERSION = 1
# Columns; the length of `data`, its format's version.
_START = Struct(">hiB")
_POSITION = Struct(">iq")
_POSITION_AT = 4  # within a head
_COLUMNS = 12
_LENGTH = Struct(">i")


class RowBytes(NamedTuple):
    """A row: every column but `data` as canonical bytes, and `data` as PostgreSQL writes it."""

    position: int
    head: bytes
    document: bytes

    @property
    def account_id(self) -> str:
        """Whose it is; the second column."""
        return self._column(1).decode()

    @property
    def version(self) -> int:
        """Its place in the account's stream; the third column."""
        return int.from_bytes(self._column(2), signed=True)

    def at_position(self, position: int) -> "RowBytes":
        """The same row, had it stood elsewhere."""
        head = _POSITION.pack(8, position) + self.head[_POSITION.size :]
        return RowBytes(position, head, self.document)

    def _column(self, number: int) -> bytes:
        at = 0
        for _ in range(number):
            at += _LENGTH.size + _LENGTH.unpack_from(self.head, at)[0]
        begin = at + _LENGTH.size
        return self.head[begin : begin + _LENGTH.unpack_from(self.head, at)[0]]


def read_rows(connection: psycopg.Connection[Any], first: int, last: int) -> Iterator[RowBytes]:
    """The log's rows at positions `first` to `last`, in order, one at a time."""
    if connection.info.encoding != "utf-8":
        raise psycopg.NotSupportedError("the chain is over UTF-8: set client_encoding to UTF8")
    statement = sql.SQL(_COPY).format(first, last)
    start, position_of = _START.unpack_from, _POSITION.unpack_from
    after_length = _START.size - 1
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        begun = False
        for chunk in copy:
            row = bytes(chunk)
            if not begun:
                if row[: len(_SIGNATURE)] != _SIGNATURE:
                    raise psycopg.DataError("not PostgreSQL's binary format")
                begun = True
                row = row[len(_SIGNATURE) :]
                if not row:
                    continue
            if row == _END:
                continue  # the copy itself has to be read to its end
            columns, length, version = start(row)
            if columns != _COLUMNS or version != _JSONB_VERSION:
                raise psycopg.DataError("a row of the log has another form")
            end = after_length + length
            yield RowBytes(position_of(row, end)[1], row[end:], row[_START.size : end])
