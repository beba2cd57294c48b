"""The record of reads, for those who watch the watchers."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from psycopg.rows import dict_row

from api.audit.recording import recorded
from api.http.auth import Principal
from api.http.cursors import LIMIT_DEFAULT, CursorParameter, LimitParameter, Listing, Page
from api.http.ids import NO_NUL, QUERY_CHARACTERS_MAX
from api.http.parameters import AccountParameter
from api.openapi.documented import refusals
from api.services import Services
from api.threads import Connection

_BIGINT_MAX = 2**63 - 1
_LIST = (
    "SELECT id, at, reader, role, what, account_id, query FROM audit_reads WHERE id < %(before)s"
)
_BY_READER = " AND reader = %(reader)s"
_BY_ACCOUNT = " AND account_id = %(account)s"
_ORDER = " ORDER BY id DESC LIMIT %(limit)s"

ReaderParameter = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=QUERY_CHARACTERS_MAX,
        pattern=NO_NUL,
        description="Only by that one: `key:…`, `admin:bootstrap` or `cli`.",
    ),
]


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has looked: `reader` by its credentials, `account_id` null where at nobody's alone.

    `query` is how it was asked.
    """

    id: int
    at: datetime
    reader: str
    role: str
    what: Annotated[str, msgspec.Meta(examples=["events"])]
    account_id: str | None
    query: dict[str, Any]


@get("/reads", summary="Who has looked at what", responses=refusals("INVALID_INPUT"))
async def list_reads(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    reader: ReaderParameter = None,
    account: AccountParameter = None,
    cursor: CursorParameter = None,
    limit: LimitParameter = LIMIT_DEFAULT,
) -> Page[Read]:
    """Newest first; itself recorded, and so first in the list."""
    listing = Listing("audit_reads", reader=reader, account=account)
    (before,) = listing.places(cursor, tuple[int]) or (None,)
    await recorded(services, caller, "reads", account_id=account, reader=reader)
    rows = await services.threads.query(
        select_reads, reader=reader, account=account, before=before, limit=limit + 1
    )
    return listing.page(rows, limit, lambda row: row, lambda row: (row.id,))


def select_reads(
    connection: Connection,
    *,
    reader: str | None = None,
    account: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[Read]:
    """The reads with an id below `before`, newest first."""
    by_reader = "" if reader is None else _BY_READER
    by_account = "" if account is None else _BY_ACCOUNT
    statement = _LIST + by_reader + by_account + _ORDER
    values = {
        "reader": reader,
        "account": account,
        "before": _BIGINT_MAX if before is None else before,
        "limit": limit,
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement.encode(), values).fetchall()
    return [Read(**row | {"at": row["at"].astimezone(UTC)}) for row in rows]
