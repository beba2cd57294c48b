"""The statement as a page: what is held now, and what moved the tokens before."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from api.accounts.statements import lines_of, statement_csv
from api.accounts.transactions import TypeParameter
from api.http.cursors import CursorParameter, Listing
from api.http.exports import Export
from api.http.principals import Principal
from api.pages.clock import Clock
from api.pages.language import chosen_locale
from api.pages.places import address
from api.pages.rendering import page
from api.pages.texts import LIST_TEXTS
from api.pages.viewer import Viewer
from api.services import Services
from api.texts.i18n import Message, msg
from api.texts.wording import describe_transaction
from projections.level import at_level
from projections.reads import (
    GenerationRow,
    TransactionRow,
    TransactionType,
    list_generations,
)

PAGE = 40
HOLDS_MAX = 50
MARK = b"\xef\xbb\xbf"
"""Without it a spreadsheet takes a file with Chinese for one of another encoding."""

TYPES: dict[TransactionType, Message] = {
    "token_consumption": msg("Pictures"),
    "token_grant": msg("Gifts"),
    "token_purchase": msg("Purchases"),
    "token_refund": msg("Refunds"),
    "token_adjustment": msg("Adjustments"),
}


class Day(msgspec.Struct, frozen=True):
    """The lines of one day of the reader's calendar."""

    key: str
    name: str
    lines: Sequence[TransactionRow]


@get("/transactions", include_in_schema=False)
async def show(
    *,
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    viewer: NamedDependency[Viewer],
    clock: NamedDependency[Clock],
    type: TypeParameter = None,  # noqa: A002 - the field's own word
    cursor: CursorParameter = None,
) -> Template:
    """Newest first, by day. Holds stand above the first page, until they settle or vanish."""
    listing = Listing("transactions", account=viewer.account_id, type=type)
    (before,) = listing.places(cursor, tuple[int]) or (None,)
    lines = await services.threads.read_view(
        lines_of, services, viewer.account_id, type=type, before=before, limit=PAGE + 1
    )
    kept = lines[:PAGE]
    holds = [] if cursor else await services.threads.read_view(_open, services, viewer.account_id)
    filters: dict[str, str] = {"type": type} if type else {}
    more = filters | {"cursor": listing.cursor(kept[-1].position)} if len(lines) > PAGE else None
    return page(
        request,
        services,
        "transactions.html",
        viewer,
        script_texts=LIST_TEXTS,
        clock=clock,
        days=_by_day(kept, clock),
        holds=holds,
        types={name: text.text(clock.locale) for name, text in TYPES.items()},
        chosen=type,
        is_later=cursor is not None,
        describe=lambda line: describe_transaction(line.reason, line.title).text(clock.locale),
        newest_url=address("/transactions", filters),
        csv_url=address("/transactions/csv", filters),
        more_url=address("/transactions", more) if more else None,
    )


@get("/transactions/csv", include_in_schema=False)
async def download(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    type: TypeParameter = None,  # noqa: A002 - the field's own word
) -> Export:
    """The same CSV as the API's, for a plain link."""
    locale = chosen_locale(request)
    return await statement_csv(services, caller.account, locale, type=type, mark=MARK)


def _open(services: Services, account_id: str) -> list[GenerationRow]:
    with at_level(services.pool, account_id, views=("generations",)) as connection:
        found = [
            row
            for status in ("queued", "processing")
            for row in list_generations(connection, account_id, status=status, limit=HOLDS_MAX)
            if row.cost
        ]
    # One that a worker has claimed between the two questions is in both answers.
    return sorted({row.id: row for row in found}.values(), key=lambda row: -row.position)


def _by_day(lines: Sequence[TransactionRow], clock: Clock) -> list[Day]:
    return [
        Day(key.isoformat(), clock.day(group[0].created_at), group)
        for key, group in (
            (key, list(each))
            for key, each in groupby(lines, lambda line: clock.on(line.created_at))
        )
    ]
