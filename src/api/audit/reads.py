"""The record of reads, for those who watch the watchers."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from psycopg.rows import dict_row

from api.audit.recording import recorded
from api.connection import Connection
from api.http.cursors import LIMIT_DEFAULT, CursorParameter, LimitParameter, Listing, Page
from api.http.ids import NO_NUL, QUERY_CHARACTERS_MAX
from api.http.parameters import AccountParameter
from api.http.principals import Principal
from api.openapi.documented import refusals
from api.services import Services

_BIGINT_MAX = 2**63 - 1
# Those of before `shown` was written down too, if accounts can stand in their answer.
_ANYBODY = """account_id IS NULL AND shown IS NULL
    AND what IN ('accounts_search', 'events', 'events_export')"""
_LIST = f"""
SELECT id, at, reader, role, what, account_id, query,
       CASE WHEN account_id IS NOT NULL THEN 1
            WHEN {_ANYBODY} THEN NULL
            ELSE coalesce(cardinality(shown), 0) END AS shown
FROM audit_reads WHERE {{which}} ORDER BY id DESC LIMIT %(limit)s"""  # noqa: S608 - words of our own
_PAGE = "id < %(before)s"
_BY_READER = " AND reader = %(reader)s"
# Each by an index of its own; that of the array knows no order, and must not be passed over for it.
_OF_ACCOUNT = f"""id IN (
    WITH showing AS MATERIALIZED (
        SELECT id, reader FROM audit_reads WHERE shown @> ARRAY[%(account)s::text]
    )
    (SELECT id FROM audit_reads WHERE {{page}} AND account_id = %(account)s
     ORDER BY id DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT id FROM showing WHERE {{page}} ORDER BY id DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT id FROM audit_reads WHERE {{page}} AND {_ANYBODY} ORDER BY id DESC LIMIT %(limit)s)
)"""  # noqa: S608 - words of our own

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

    `shown` is how many accounts' data the answer had; null where it may have had anybody's.
    `query` is how it was asked.
    """

    id: int
    at: datetime
    reader: str
    role: str
    what: Annotated[str, msgspec.Meta(examples=["events"])]
    account_id: str | None
    shown: int | None
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
    """Newest first; itself recorded, and so first in the list.

    Of an `account` are the reads that asked for it, those whose answer had data of it, and those
    whose answer may have: exports of no account in particular.
    """
    listing = Listing("audit_reads", reader=reader, account=account)
    (before,) = listing.places(cursor, tuple[int]) or (None,)
    await recorded(
        services, caller, "reads", account_id=account, reader=reader, cursor=cursor, limit=limit
    )
    rows = await services.threads.audit(
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
    """The reads with an id below `before`, newest first; of `account`, all that may concern it."""
    which = _PAGE if reader is None else _PAGE + _BY_READER
    if account is not None:
        which = _OF_ACCOUNT.format(page=which)
    statement = _LIST.format(which=which)
    values = {
        "reader": reader,
        "account": account,
        "before": _BIGINT_MAX if before is None else before,
        "limit": limit,
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement.encode(), values).fetchall()
    return [Read(**row | {"at": row["at"].astimezone(UTC)}) for row in rows]
