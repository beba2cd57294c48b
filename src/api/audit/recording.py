"""Every read of other people's data is recorded before it is answered: who, what, whose, when."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from api.connection import Connection
from api.http.principals import Principal
from api.problems.refusals import ReadNotRecordedError
from api.services import Services

CLI = "cli"
"""The reader where somebody asks at the console; who may do that is an administrator."""

TEXT_CHARACTERS_MAX = 200
_RECORD = """
INSERT INTO audit_reads (reader, role, what, account_id, shown, query)
VALUES (%s, %s, %s, %s, %s, %s)"""

What = Literal[
    "account",
    "accounts_search",
    "balance",
    "events",
    "events_export",
    "explanation",
    "generation",
    "keys",
    "reads",
    "timeline",
]
"""What can be read of others, each by the word that it is recorded under."""


async def recorded(
    services: Services,
    caller: Principal,
    what: What,
    *,
    account_id: str | None = None,
    shown: Iterable[str] | None = (),
    **query: Any,
) -> None:
    """Record the read that the caller is about to be answered; call it before answering.

    `account_id` is whose data was asked for, also where there is no such account; without one,
    `shown` are those whose data the answer has, and None says that it may be anybody's. `query` is
    how it was asked, without what was left out; nothing secret may stand in it. Raises
    `ReadNotRecordedError`: then there is no answer.
    """
    try:
        await services.threads.query(
            record_read,
            what,
            reader=caller.actor,
            role=caller.role,
            account_id=account_id,
            shown=shown,
            query=query,
        )
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise  # out of reach: the table of problems has words for that
    except psycopg.Error as error:
        raise ReadNotRecordedError from error


def record_read(
    connection: Connection,
    what: What,
    *,
    reader: str = CLI,
    role: str = "admin",
    account_id: str | None = None,
    shown: Iterable[str] | None = (),
    query: Mapping[str, Any],
) -> None:
    """The same for the command line, at once durable. Raises psycopg's errors."""
    given = {name: _plain(value) for name, value in query.items() if value is not None}
    account = None if account_id is None else _storable(account_id)
    others = None if shown is None else sorted({*shown} - {account_id})
    values = (reader, role, what, account, others, Jsonb(given, dumps=_dumps))
    connection.execute(_RECORD, values)


def _plain(value: Any) -> Any:
    match value:
        case bool() | int():
            return value
        case datetime():
            return value.isoformat()
        case str() | UUID():
            return _storable(str(value))
        case _:
            raise TypeError(f"{type(value).__name__} is not recorded")


def _storable(text: str) -> str:
    """What jsonb and text take of anything that was asked for, and no more than so much of it."""
    shown = text[:TEXT_CHARACTERS_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return shown.encode(errors="replace").decode()


def _dumps(value: Any) -> str:
    return msgspec.json.encode(value).decode()
