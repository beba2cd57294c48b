"""The statement of account."""

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.http.auth import Principal
from api.http.cursors import LIMIT_DEFAULT, CursorParameter, LimitParameter, Listing, Page
from api.http.schemas import Transaction
from api.openapi.documented import refusals
from api.services import Services
from api.texts.i18n import Locale
from api.texts.wording import describe_transaction
from projections.level import ensure_level
from projections.reads import TransactionRow, TransactionType, list_transactions


@get("/transactions", summary="My statement", responses=refusals("INVALID_INPUT"))
async def list_mine(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    locale: NamedDependency[Locale],
    type: Annotated[TransactionType | None, QueryParameter(description="Only those.")] = None,  # noqa: A002 - the field's own word
    cursor: CursorParameter = None,
    limit: LimitParameter = LIMIT_DEFAULT,
) -> Page[Transaction]:
    """Newest first; holds are no transactions, what they became is."""
    account_id = caller.account
    listing = Listing("transactions", account=account_id, type=type)
    (before,) = listing.places(cursor, tuple[int]) or (None,)

    def read() -> list[TransactionRow]:
        ensure_level(services.pool, account_id, views=("transactions",))
        with services.pool.connection() as connection:
            return list_transactions(
                connection, account_id, type=type, before=before, limit=limit + 1
            )

    rows = await services.threads.read_view(read)
    return listing.page(
        rows, limit, lambda row: _transaction(row, locale), lambda row: (row.position,)
    )


def _transaction(row: TransactionRow, locale: Locale) -> Transaction:
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
