"""Pages of generations with what is shown of them, for many accounts at once."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from psycopg_pool import ConnectionPool

from api.accounts.numbers import numbers_of_all
from api.connection import Connection
from generation.leases import Step, steps_of
from projections.images import ImageRow, images_of
from projections.level import at_level
from projections.pages import PageOf, list_generation_pages
from projections.reads import GenerationRow, Status, list_generations


class Listed(NamedTuple):
    """The page's rows, newest first. `available` is the account's balance."""

    rows: Sequence[GenerationRow]
    images: Mapping[UUID, Sequence[ImageRow]]
    steps: Mapping[UUID, Step]
    available: int


def look(connection: Connection, pages: Sequence[PageOf]) -> list[Listed | None]:
    """In that order; None for one whose account's views are behind the log."""
    found = list_generation_pages(connection, pages)
    rows = [row for page in found if page for row in page]
    images = images_of(connection, rows, prepare=True)
    steps = _steps(connection, rows)
    accounts = numbers_of_all(connection, [page.account_id for page in pages])
    return [
        None if page is None else Listed(page, images, steps, numbers.available if numbers else 0)
        for page, numbers in zip(found, accounts, strict=True)
    ]


def list_alone(
    pool: ConnectionPool[Connection],
    account_id: str,
    *,
    status: Status | None,
    before: int | None,
    limit: int,
) -> Listed:
    """A page of one account, once its views are level."""
    with at_level(pool, account_id, views=("generations", "images")) as connection:
        rows = list_generations(connection, account_id, status=status, before=before, limit=limit)
        images = images_of(connection, rows)
        (numbers,) = numbers_of_all(connection, [account_id])
        available = numbers.available if numbers else 0
        return Listed(rows, images, _steps(connection, rows), available)


def _steps(connection: Connection, rows: Sequence[GenerationRow]) -> dict[UUID, Step]:
    waiting = [row.id for row in rows if row.outcome is None]
    return steps_of(connection, waiting) if waiting else {}
