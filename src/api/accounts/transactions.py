"""The statement of account: a page as JSON, or all of it as CSV."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.accounts.operations import StatementOperation
from api.accounts.statements import CSV, lines_of, statement_csv
from api.http.cursors import LIMIT_DEFAULT, LIMIT_MAX, CursorParameter, Listing, Page
from api.http.exports import Export
from api.http.negotiation import best_match
from api.http.principals import Principal
from api.http.schemas import Transaction
from api.openapi.documented import refusals
from api.problems.field_errors import invalid
from api.services import Services
from api.texts.i18n import Locale, msg
from api.texts.wording import describe_transaction
from projections.pages import PageOf
from projections.reads import TransactionRow, TransactionType

JSON = "application/json"

TypeParameter = Annotated[TransactionType | None, QueryParameter(description="Only those.")]


@get(
    "/transactions",
    operation_class=StatementOperation,
    summary="My statement",
    responses=refusals("INVALID_INPUT", "RATE_LIMITED"),
)
async def list_mine(
    *,
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    locale: NamedDependency[Locale],
    type: TypeParameter = None,  # noqa: A002 - the field's own word
    cursor: CursorParameter = None,
    limit: Annotated[
        int | None,
        QueryParameter(
            ge=1,
            le=LIMIT_MAX,
            description="How many lines; 20 unless told in a page, all of them in a CSV.",
        ),
    ] = None,
) -> Response[Page[Transaction]] | Export:
    """Newest first; holds are no transactions, what they became is.

    As `text/csv` the whole statement, however long. `Mintage-Count` is its number of lines: one
    with less was cut off. An apostrophe stands before what a spreadsheet would run.
    """
    if best_match(request, [JSON, CSV]) == CSV:
        if cursor is not None:
            raise invalid("cursor", msg("Is of pages only: an export is whole."))
        return await statement_csv(services, caller.account, locale, type=type, limit=limit)
    listing = Listing("transactions", account=caller.account, type=type)
    (before,) = listing.places(cursor, tuple[int]) or (None,)
    size = limit or LIMIT_DEFAULT
    rows = None
    if type is None:
        rows = await services.transaction_pages.get(PageOf(caller.account, size + 1, before))
    if rows is None:  # nobody else waits for what may take longer
        rows = await services.threads.read_view(
            lines_of,
            services,
            caller.account,
            type=type,
            before=before,
            limit=size + 1,
        )
    return Response(
        listing.page(
            rows, size, lambda row: transaction_of(row, locale), lambda row: (row.position,)
        )
    )


def transaction_of(row: TransactionRow, locale: Locale) -> Transaction:
    """The wire form of a line."""
    return Transaction(
        id=row.id,
        type=row.type,
        amount=row.amount,
        balance=row.balance,
        description=describe_transaction(row.reason, row.title).text(locale),
        generation_id=row.generation_id,
        created_at=row.created_at,
        position=row.position,
    )
