"""Reading an account's statement, and writing all of it down for a spreadsheet."""

from collections.abc import AsyncIterator, Sequence

from api.audit.formats import cell, rows
from api.http.exports import Export
from api.problems.refusals import ExportCutError
from api.services import Services
from api.texts.i18n import Locale
from api.texts.wording import describe_transaction
from projections.level import at_level
from projections.reads import (
    LIMIT_MAX,
    TransactionRow,
    TransactionType,
    count_transactions,
    list_transactions,
)

CSV = "text/csv"
COLUMNS = (
    "id",
    "type",
    "amount",
    "balance",
    "status",
    "description",
    "generation_id",
    "created_at",
    "position",
)


def lines_of(
    services: Services,
    account_id: str,
    *,
    type: TransactionType | None = None,  # noqa: A002 - the field's own word
    before: int | None = None,
    limit: int,
) -> list[TransactionRow]:
    """At most `limit` lines, newest first, never less than what was acknowledged."""
    with at_level(services.pool, account_id, views=("transactions",)) as connection:
        return list_transactions(connection, account_id, type=type, before=before, limit=limit)


async def statement_csv(
    services: Services,
    account_id: str,
    locale: Locale,
    *,
    type: TransactionType | None = None,  # noqa: A002 - the field's own word
    limit: int | None = None,
    mark: bytes = b"",
) -> Export:
    """All lines as they stand now, after `mark`. Raises `TooManyExportsError`."""
    services.downloads.take(account_id)
    try:
        first = await services.threads.read_view(
            lines_of, services, account_id, type=type, limit=limit or LIMIT_MAX
        )
        count = await services.threads.query(
            count_transactions,
            account_id,
            type=type,
            before=first[0].position + 1 if first else 0,
        )
    except BaseException:
        services.downloads.give_back(account_id)
        raise
    count = count if limit is None else min(count, limit)

    async def pieces() -> AsyncIterator[bytes]:
        yield mark + rows([COLUMNS])
        lines, left = first, count
        while lines:
            yield _written(lines, locale)
            left -= len(lines)
            if left <= 0:
                return
            if services.watcher.closing:
                raise ExportCutError
            # Older lines than those that were read never change, and none comes between.
            lines = await services.threads.export(
                list_transactions,
                account_id,
                type=type,
                before=lines[-1].position,
                limit=min(left, LIMIT_MAX),
            )

    return Export(
        pieces(),
        slots=services.downloads,
        taker=account_id,
        media_type=CSV,
        headers={
            "Mintage-Count": str(count),
            "Content-Disposition": 'attachment; filename="transactions.csv"',
        },
    )


def _written(lines: Sequence[TransactionRow], locale: Locale) -> bytes:
    return rows(
        [
            (
                line.id,
                line.type,
                line.amount,
                line.balance,
                "completed",
                cell(describe_transaction(line.reason, line.title).text(locale)),
                line.generation_id or "",
                line.created_at.isoformat().replace("+00:00", "Z"),
                line.position,
            )
            for line in lines
        ]
    )
