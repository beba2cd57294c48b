"""Pages that many accounts ask for at the same time, read in one question, levelness included."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.rows import tuple_row

from ledger.facts import ACCOUNT_ID
from projections.images import PAGE, ImageRow, newest_first
from projections.level import HEAD
from projections.reads import (
    BIGINT_MAX,
    GENERATIONS,
    LINES,
    GenerationRow,
    TransactionRow,
    checked_limit,
    generation,
    lines,
)

BY_INDEX = (
    "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off"
    " -c enable_hashjoin=off -c enable_mergejoin=off -c enable_material=off -c enable_sort=off"
    " -c jit=off"
)
"""Options of a connection for these questions: each has one plan, by index, for every account.

Left to itself, the planner would sort all that a long account has for each page.
"""

# Page and positions are of one snapshot: a view that is level in it has all that was committed
# before it was taken.
_ASKED = f"""
SELECT page.*, asked.number, standing.is_level
FROM unnest(
    string_to_array(%s, ','), string_to_array(%s, ',')::bigint[],
    string_to_array(%s, ',')::bigint[], string_to_array(%s, ',')::bigint[]
) WITH ORDINALITY AS asked (account_id, position, ordinal, size, number)
CROSS JOIN LATERAL (
    SELECT ({HEAD.format("asked.account_id")}) <= coalesce((
        SELECT min(position) FROM view_positions WHERE view = ANY ('{{views}}')
        HAVING count(*) = cardinality('{{views}}'::text[])), 0) AS is_level
    OFFSET 0  -- once an account, not once a row
) AS standing
LEFT JOIN LATERAL ({{page}}) AS page ON standing.is_level"""  # noqa: S608 - constants
_PLACES = {
    "account_id": "asked.account_id",
    "position": "asked.position",
    "limit": "asked.size",
    "filters": "",
}
_IMAGES = _ASKED.format(views="{images}", page=PAGE.format(**_PLACES, ordinal="asked.ordinal"))
# What is shown of a generation are its images, too.
_GENERATIONS = _ASKED.format(views="{generations,images}", page=GENERATIONS.format(**_PLACES))
_TRANSACTIONS = _ASKED.format(views="{transactions}", page=LINES.format(**_PLACES))

_Row = TypeVar("_Row")


class PageOf(NamedTuple):
    """At most `limit` of the account's rows that stand before a position, and an ordinal in it."""

    account_id: str
    limit: int
    position: int | None = None
    ordinal: int | None = None


def list_image_pages(
    connection: psycopg.Connection[Any], pages: Sequence[PageOf]
) -> list[list[ImageRow] | None]:
    """The pages of galleries, each newest first, in the order of `pages`.

    None for one whose account has facts that the view has not folded yet: `at_level` helps.
    """
    return _answers(connection, _IMAGES, pages, lambda _, rows: newest_first(rows))


def list_generation_pages(
    connection: psycopg.Connection[Any], pages: Sequence[PageOf]
) -> list[list[GenerationRow] | None]:
    """The pages of generations, in the same way; then the view of images is level as well."""
    return _answers(connection, _GENERATIONS, pages, _generations)


def list_transaction_pages(
    connection: psycopg.Connection[Any], pages: Sequence[PageOf]
) -> list[list[TransactionRow] | None]:
    """The pages of statements, in the same way."""
    return _answers(connection, _TRANSACTIONS, pages, lambda _, rows: lines(rows))


def _generations(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[GenerationRow]:
    found = [generation(**dict(zip(names, row, strict=True))) for row in rows]
    return sorted(found, key=attrgetter("position"), reverse=True)


def _answers(
    connection: psycopg.Connection[Any],
    statement: str,
    pages: Sequence[PageOf],
    read: Callable[[Sequence[str], Sequence[Sequence[Any]]], list[_Row]],
) -> list[list[_Row] | None]:
    parameters = (
        # An id with a comma in it would take its neighbours' places; nobody has such a one.
        ",".join(p.account_id if ACCOUNT_ID.fullmatch(p.account_id) else "" for p in pages),
        ",".join(str(BIGINT_MAX if p.position is None else p.position) for p in pages),
        ",".join(str(BIGINT_MAX if p.ordinal is None else p.ordinal) for p in pages),
        ",".join(str(checked_limit(page.limit)) for page in pages),
    )
    behind: set[int] = set()
    found: dict[int, list[Sequence[Any]]] = defaultdict(list)
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(statement.encode(), parameters, prepare=True)
        names = [column.name for column in cursor.description or ()][:-2]
        for *row, number, is_level in cursor:
            if not is_level:
                behind.add(number)
            elif row[0] is not None:
                found[number].append(row)
    return [
        None if number in behind else read(names, found[number])
        for number in range(1, len(pages) + 1)
    ]
