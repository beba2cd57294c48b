"""Reading tables side by side: each in the order of accounts, one account's rows at a time."""

import select
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from ledger import wire
from projections.verify.rows import unescape


class Range(msgspec.Struct, frozen=True):
    """Accounts from `first` on and before `end`; None: from the very first, to the very last."""

    first: str | None = None
    end: str | None = None


class Rows:
    """A table's lines in the order of accounts. `account` is whose come next; None at the end.

    A line is as COPY writes it, its end included.
    """

    def __init__(self, pgconn: PGconn | None) -> None:
        """Begin with what a statement sent to `pgconn` copies out; None: no lines at all."""
        self._next = _lines(pgconn) if pgconn else lambda: b""
        self._ahead = b""
        self._prefix = b""
        self.account: str | None = None
        self._begin(self._next())

    def take(self, count_max: int = 2**62) -> list[bytes]:
        """Lines of `account`, so many at the most; once there are no more, it is another's turn."""
        following, prefix = self._next, self._prefix
        line, lines = self._ahead, []
        while line.startswith(prefix):
            lines.append(line)
            line = following()
            if len(lines) == count_max:
                break
        self._begin(line)
        return lines

    def _begin(self, line: bytes) -> None:
        self._ahead = line
        if not line:
            self.account = None
            self._prefix = b"\n"  # no line begins so
        elif self.account is None or not line.startswith(self._prefix):
            name, tab, _ = line.partition(b"\t")
            self._prefix = name + tab
            self.account = unescape(name)


def copied(
    table: str, columns: str, accounts: Range, *, order: str, then: tuple[str, ...]
) -> sql.Composed:
    """The statement that copies a table out; `columns` begin with the account."""
    by = sql.SQL(order)
    bounds = [
        sql.SQL(mark).format(by, bound)
        for mark, bound in (("{} >= {}", accounts.first), ("{} < {}", accounts.end))
        if bound is not None
    ]
    if bounds and accounts.end is None:
        # Where a table has lost what forbids it, such a row is in no other range.
        bounds = [sql.SQL("({} OR account_id IS NULL)").format(*bounds)]
    return sql.SQL(
        "COPY (SELECT {columns} FROM {table} WHERE {bounds} ORDER BY {order}) TO STDOUT"
    ).format(
        columns=sql.SQL(columns),
        table=sql.Identifier(table),
        bounds=sql.SQL(" AND ").join(bounds) if bounds else sql.SQL("true"),
        order=sql.SQL(", ").join([by, *map(sql.Identifier, then)]),
    )


def send(connection: psycopg.Connection[Any], statement: sql.Composed) -> PGconn:
    """Let the server begin; `Rows` reads. Several connections so prepare at once."""
    pgconn = connection.pgconn
    pgconn.send_query(statement.as_bytes(connection))
    return pgconn


def _lines(pgconn: PGconn) -> Callable[[], bytes]:
    """A function that returns the next line, and nothing at the end.

    psycopg's own copy does the same, at twice the price a row. Raises psycopg's errors.
    """
    get = pgconn.get_copy_data
    _begin_copy(pgconn)

    def line() -> bytes:
        while True:
            count, data = get(1)
            if count > 0:
                return bytes(data)
            if count < 0:
                wire.receive(pgconn, _wait)
                return b""
            _wait(pgconn, select.POLLIN)
            pgconn.consume_input()

    return line


def _begin_copy(pgconn: PGconn) -> None:
    wire.flush(pgconn, _wait)
    result = wire.next_result(pgconn, _wait)
    assert result is not None
    if result.status == ExecStatus.FATAL_ERROR:
        raise error_from_result(result)
    assert result.status == ExecStatus.COPY_OUT, result.status


def _wait(pgconn: PGconn, events: int) -> int:
    """However long it sorts: a server that has vanished is noticed by the connection itself."""
    return wire.poll(pgconn, events, None)
