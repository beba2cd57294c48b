"""Pages that many accounts ask for at the same time, read in one question, levelness included."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import tuple_row

from ledger.facts import ACCOUNT_ID
from projections.images import INTEGER_MAX, PAGE, ImageRow, newest_first
from projections.level import HEAD
from projections.reads import BIGINT_MAX, checked_limit

BY_INDEX = (
    "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off"
    " -c enable_hashjoin=off -c enable_mergejoin=off -c enable_sort=off -c jit=off"
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
    string_to_array(%s, ',')::integer[], string_to_array(%s, ',')::bigint[]
) WITH ORDINALITY AS asked (account_id, position, ordinal, size, number)
CROSS JOIN LATERAL (
    SELECT ({HEAD.format("asked.account_id")}) <= coalesce((
        SELECT position FROM view_positions WHERE view = 'images'), 0) AS is_level
) AS standing
LEFT JOIN LATERAL ({{}}) AS page ON standing.is_level"""  # noqa: S608 - constants
_IMAGES = _ASKED.format(
    PAGE.format(
        account_id="asked.account_id",
        position="asked.position",
        ordinal="asked.ordinal",
        limit="asked.size",
        filters="",
    )
).encode()


class ImagePage(NamedTuple):
    """At most `limit` of the account's images below `before` (position, ordinal)."""

    account_id: str
    before: tuple[int, int] | None
    limit: int


def list_image_pages(
    connection: psycopg.Connection[Any], pages: Sequence[ImagePage]
) -> list[list[ImageRow] | None]:
    """The pages, each newest first, in the order of `pages`.

    None for one whose account has facts that the view has not folded yet: `ensure_level` helps.
    """
    starts = [page.before or (BIGINT_MAX, INTEGER_MAX) for page in pages]
    parameters = (
        # An id with a comma in it would take its neighbours' places; nobody has such a one.
        ",".join(p.account_id if ACCOUNT_ID.fullmatch(p.account_id) else "" for p in pages),
        ",".join(str(position) for position, _ in starts),
        ",".join(str(ordinal) for _, ordinal in starts),
        ",".join(str(checked_limit(page.limit)) for page in pages),
    )
    behind: set[int] = set()
    charges: dict[int, list[list[Any]]] = defaultdict(list)
    with connection.cursor(row_factory=tuple_row) as cursor:
        for *charge, number, is_level in cursor.execute(_IMAGES, parameters, prepare=True):
            if not is_level:
                behind.add(number)
            elif charge[0] is not None:
                charges[number].append(charge)
    return [
        None if number in behind else newest_first(page.account_id, charges[number])
        for number, page in enumerate(pages, 1)
    ]
