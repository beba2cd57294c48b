"""Reading the views: an account's statement and its generations, newest first, in pages.

`before` is where the last page ended, exclusive, so pages stay right while new rows arrive.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import RowFactory, kwargs_row, tuple_row

from ledger.facts import StoredReference

LIMIT_MAX = 1001
"""The most rows of one page, with one more to see whether there is another."""

TransactionType = Literal[
    "token_grant", "token_purchase", "token_consumption", "token_refund", "token_adjustment"
]
Status = Literal["queued", "processing", "succeeded", "failed", "canceled"]

BIGINT_MAX = 2**63 - 1

# A view's row holds what it is found by. What is only shown is read from the log, at the positions
# that the rows found name: a page's worth of look-ups.
LINES = """
SELECT found.*, fact.fact_id AS id, fact.at AS created_at,
       (fact.data ->> 'generation_id')::uuid AS generation_id,
       asked.data -> 'prompt' ->> 'title' AS title,
       CASE found.type WHEN 'token_consumption' THEN 'generation'
            ELSE coalesce(fact.data ->> 'reason', 'revocation') END AS reason
FROM (
    SELECT position, account_id, type, amount, balance FROM transactions
    WHERE account_id = {account_id} AND position < {position} {filters}
    ORDER BY position DESC LIMIT {limit}
) AS found
JOIN ledger_facts AS fact ON fact.position = found.position
LEFT JOIN ledger_facts AS asked ON asked.fact_id = (fact.data ->> 'generation_id')::uuid
ORDER BY found.position DESC"""
"""A page of the statement, of what `lines` reads: with three places and filters."""

_GENERATIONS_FOUND = """
SELECT found.*, asked.at AS created_at, ending.at AS ended_at,
       asked.data -> 'prompt' ->> 'id' AS prompt_id,
       (asked.data -> 'prompt' ->> 'version')::integer AS prompt_version,
       asked.data -> 'prompt' ->> 'title' AS title, (asked.data ->> 'count')::integer AS count,
       asked.data ->> 'aspect_ratio' AS aspect_ratio, (asked.data ->> 'cost')::bigint AS cost,
       asked.data -> 'reference' AS reference,
       ending.data ->> 'reason' AS reason, (ending.data ->> 'retryable')::boolean AS retryable
FROM ({found}) AS found
JOIN ledger_facts AS asked ON asked.position = found.position
LEFT JOIN ledger_facts AS ending ON ending.position = found.end_position
ORDER BY found.position DESC"""

_TRANSACTIONS = LINES.format(
    account_id="%(account_id)s",
    position="%(before)s",
    filters="AND (%(type)s::text IS NULL OR type = %(type)s)",
    limit="%(limit)s",
).encode()
_TRANSACTION_COUNT = b"""
SELECT count(*) FROM transactions
WHERE account_id = %(account_id)s AND position < %(before)s
    AND (%(type)s::text IS NULL OR type = %(type)s)"""
_GENERATIONS_OF = """
    SELECT position, id, account_id, outcome, end_position FROM generations AS g
    WHERE account_id = {account_id}"""
GENERATIONS = _GENERATIONS_FOUND.format(
    found=_GENERATIONS_OF
    + """ AND position < {position} {filters}
    ORDER BY position DESC LIMIT {limit}"""
)
"""A page of generations, of the columns that `generation` takes: with three places and filters."""

# Open ones are queued until a worker has claimed them.
_GENERATIONS = GENERATIONS.format(
    account_id="%(account_id)s",
    position="%(before)s",
    filters="""
        AND CASE %(status)s::text
            WHEN 'queued' THEN outcome IS NULL AND NOT EXISTS (
                SELECT FROM generation_leases AS l WHERE l.generation_id = g.id)
            WHEN 'processing' THEN outcome IS NULL AND EXISTS (
                SELECT FROM generation_leases AS l WHERE l.generation_id = g.id)
            ELSE %(status)s::text IS NULL OR outcome = %(status)s
        END""",
    limit="%(limit)s",
).encode()
_GENERATIONS_BY_ID = _GENERATIONS_FOUND.format(
    found=_GENERATIONS_OF.format(account_id="%(account_id)s") + " AND id = ANY (%(ids)s)"
).encode()


class TransactionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the statement: `amount` is signed, `balance` the settled balance after it.

    `reason` is the grant's, `generation` or `revocation`; `title` is the prompt's as asked with.
    """

    position: int
    id: UUID
    account_id: str
    type: TransactionType
    amount: int
    balance: int
    reason: str
    title: str | None
    generation_id: UUID | None
    created_at: datetime


class GenerationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A generation: `outcome` is None while it is open; `position` is that of its request."""

    id: UUID
    account_id: str
    position: int
    prompt_id: str
    prompt_version: int
    title: str
    count: int
    aspect_ratio: str
    cost: int
    reference: StoredReference | None
    created_at: datetime
    outcome: Literal["succeeded", "failed", "canceled"] | None
    reason: str | None
    retryable: bool | None
    ended_at: datetime | None
    end_position: int | None


def list_transactions(
    connection: psycopg.Connection[Any],
    account_id: str,
    *,
    type: TransactionType | None = None,  # noqa: A002 - the field's own word
    before: int | None = None,
    limit: int,
) -> list[TransactionRow]:
    """List at most `limit` lines of the statement at positions below `before`."""
    bounds = {"account_id": account_id, "before": _before(before), "limit": checked_limit(limit)}
    return lines(_rows(connection, _TRANSACTIONS, bounds | {"type": type}, tuple_row))


def count_transactions(
    connection: psycopg.Connection[Any],
    account_id: str,
    *,
    type: TransactionType | None = None,  # noqa: A002 - the field's own word
    before: int,
) -> int:
    """How many lines the statement has at positions below `before`."""
    values = {"account_id": account_id, "before": before, "type": type}
    row = connection.execute(_TRANSACTION_COUNT, values).fetchone()
    assert row is not None
    return int(row[0])


def list_generations(
    connection: psycopg.Connection[Any],
    account_id: str,
    *,
    status: Status | None = None,
    before: int | None = None,
    limit: int,
) -> list[GenerationRow]:
    """List at most `limit` generations whose requests stand below `before`."""
    bounds = {"account_id": account_id, "before": _before(before), "limit": checked_limit(limit)}
    return _rows(connection, _GENERATIONS, bounds | {"status": status}, kwargs_row(generation))


def get_generations(
    connection: psycopg.Connection[Any], account_id: str, generation_ids: Collection[UUID]
) -> dict[UUID, GenerationRow]:
    """Those of the generations that this account has."""
    parameters = {"account_id": account_id, "ids": list(generation_ids)}
    rows = _rows(connection, _GENERATIONS_BY_ID, parameters, kwargs_row(generation))
    return {row.id: row for row in rows}


def lines(rows: Iterable[Sequence[Any]]) -> list[TransactionRow]:
    """The lines of rows with the columns of `LINES`, newest first."""
    found = []
    for columns in sorted(rows, key=itemgetter(0), reverse=True):  # by position
        position, account_id, kind, amount, balance, fact_id, at, *shown = columns
        generation_id, title, reason = shown
        line = TransactionRow(
            position=position,
            id=fact_id,
            account_id=account_id,
            type=kind,
            amount=amount,
            balance=balance,
            reason=reason,
            title=title,
            generation_id=generation_id,
            created_at=at.astimezone(UTC),
        )
        found.append(line)
    return found


def generation(
    *, reference: Any, created_at: datetime, ended_at: datetime | None, **columns: Any
) -> GenerationRow:
    """A row of `GENERATIONS`, by its columns' names."""
    return GenerationRow(
        reference=msgspec.convert(reference, StoredReference | None),
        created_at=created_at.astimezone(UTC),
        ended_at=ended_at.astimezone(UTC) if ended_at else None,
        **columns,
    )


def _rows(
    connection: psycopg.Connection[Any],
    statement: bytes,
    parameters: dict[str, Any],
    factory: RowFactory[Any],
) -> list[Any]:
    # Not prepared: one plan for every account would sort all that a long one has for each page.
    with connection.cursor(row_factory=factory) as cursor:
        return cursor.execute(statement, parameters, prepare=False).fetchall()


def _before(position: int | None) -> int:
    return BIGINT_MAX if position is None else position


def checked_limit(limit: int) -> int:
    """The limit. Raises `ValueError` where it is none of a page."""
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit must lie in 1..{LIMIT_MAX}")
    return limit


def containing(text: str) -> str:
    """The LIKE pattern of texts with `text` in them, whose characters stand for themselves."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"
