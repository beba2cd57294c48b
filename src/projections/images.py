"""Reading the view of images: the gallery in pages, newest first, and single ones.

`before` is where the last page ended, exclusive, so pages stay right while new rows arrive.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import tuple_row

from ledger.facts import ImageRecord
from projections.reads import BIGINT_MAX, GenerationRow, checked_limit, containing

# The images of a charge stand in one fact, which is read once for all of them and sent as it is.
_CHARGES = """
    SELECT page.position, page.title, page.ordinals, page.favorites, charge.at,
           asked.fact_id AS generation_id, asked.data -> 'prompt' ->> 'id' AS prompt_id,
           charge.data ->> 'images' AS images
    FROM (
        SELECT position, min(title) AS title, array_agg(ordinal) AS ordinals,
               array_agg(ordinal) FILTER (WHERE favorite) AS favorites
        FROM ({found}) AS found GROUP BY position
    ) AS page
    JOIN ledger_facts AS charge ON charge.position = page.position
    JOIN ledger_facts AS asked ON asked.fact_id = (charge.data ->> 'generation_id')::uuid"""
# A join, since a subquery for the column is planned as one hash of everybody's favorites.
_IMAGES_OF = """
            SELECT i.position, i.ordinal, i.title, f.image_id IS NOT NULL AS favorite
            FROM images AS i
            LEFT JOIN favorites AS f ON f.account_id = i.account_id AND f.image_id = i.id
            WHERE i.account_id = {account_id}"""
_PAGE_OF = (
    _IMAGES_OF
    + """ AND (i.position, i.ordinal) < ({position}, {ordinal}) {filters}
            ORDER BY i.position DESC, i.ordinal DESC LIMIT {limit}"""
)
_FILTERS = """
                AND (%(favorite)s::boolean IS NULL OR (f.image_id IS NOT NULL) = %(favorite)s)
                AND (%(title)s::text IS NULL OR i.title ILIKE %(title)s)"""
PAGE = _CHARGES.format(found=_PAGE_OF)
"""The charges of a page, in no order, of what `charges_of` reads: with four places and filters."""

_FILTERED_PAGE = PAGE.format(
    account_id="%(account_id)s",
    position="%(position)s",
    ordinal="%(ordinal)s",
    limit="%(limit)s",
    filters=_FILTERS,
).encode()
_OWN = _IMAGES_OF.format(account_id="%(account_id)s")
_BY_ID = _CHARGES.format(found=f"{_OWN} AND i.id = ANY (%(ids)s)").encode()
_BY_CHARGE = _CHARGES.format(
    found="""
            SELECT i.position, i.ordinal, i.title, f.image_id IS NOT NULL AS favorite
            FROM unnest(%(accounts)s::text[], %(charges)s::bigint[]) AS own (account_id, position)
            JOIN images AS i ON i.account_id = own.account_id AND i.position = own.position
            LEFT JOIN favorites AS f ON f.account_id = i.account_id AND f.image_id = i.id"""
).encode()

_decode = msgspec.json.Decoder(tuple[ImageRecord, ...]).decode


class Charge(msgspec.Struct, frozen=True):
    """What the images of one generation have in common; `position` is the charge's."""

    position: int
    at: datetime
    generation_id: UUID
    prompt_id: str
    title: str


class ImageRow(msgspec.Struct, frozen=True):
    """An image that was charged for; `ordinal` counts from 1 within its generation."""

    charge: Charge
    ordinal: int
    record: ImageRecord
    favorite: bool

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in the gallery, as `before` takes it."""
        return self.charge.position, self.ordinal


def list_images(
    connection: psycopg.Connection[Any],
    account_id: str,
    *,
    favorite: bool | None = None,
    q: str | None = None,
    before: tuple[int, int] | None = None,
    limit: int,
) -> list[ImageRow]:
    """List at most `limit` images below `before` (position, ordinal).

    `q` is a part of the title, in any case; its characters stand for themselves.
    """
    position, ordinal = before or (BIGINT_MAX, BIGINT_MAX)
    parameters = {
        "account_id": account_id,
        "position": position,
        "ordinal": ordinal,
        "favorite": favorite,
        "title": None if q is None else containing(q),
        "limit": checked_limit(limit),
    }
    return _rows(connection, _FILTERED_PAGE, parameters)


def get_image(
    connection: psycopg.Connection[Any], account_id: str, image_id: UUID
) -> ImageRow | None:
    """The image, or None where this account has none of that id."""
    return get_images(connection, account_id, [image_id]).get(image_id)


def get_images(
    connection: psycopg.Connection[Any], account_id: str, image_ids: Sequence[UUID]
) -> dict[UUID, ImageRow]:
    """Those of the images that this account has."""
    rows = _rows(connection, _BY_ID, {"account_id": account_id, "ids": list(image_ids)})
    return {row.record.id: row for row in rows}


def images_of(
    connection: psycopg.Connection[Any],
    generations: Iterable[GenerationRow],
    *,
    prepare: bool = False,
) -> dict[UUID, list[ImageRow]]:
    """The images of each generation, whosever it is, in order; without any, an empty list.

    `prepare` is for connections with the options `BY_INDEX`.
    """
    once = {each.id: each for each in generations}  # several may have asked for the same
    images: dict[UUID, list[ImageRow]] = {each: [] for each in once}
    charged = [each for each in once.values() if each.outcome == "succeeded"]
    if charged:
        parameters = {
            "accounts": [each.account_id for each in charged],
            "charges": [each.end_position for each in charged],
        }
        for row in reversed(_rows(connection, _BY_CHARGE, parameters, prepare=prepare)):
            images[row.charge.generation_id].append(row)
    return images


def newest_first(charges: Iterable[Sequence[Any]]) -> list[ImageRow]:
    """The images of rows with the columns of `PAGE`."""
    rows = []
    for columns in sorted(charges, key=itemgetter(0), reverse=True):  # by position
        position, title, ordinals, favorites, at, generation_id, prompt_id, images = columns
        charge = Charge(position, at.astimezone(UTC), generation_id, prompt_id, title)
        records = _decode(images)
        rows += [
            ImageRow(
                charge,
                ordinal,
                records[ordinal - 1],
                favorites is not None and ordinal in favorites,
            )
            for ordinal in sorted(ordinals, reverse=True)
        ]
    return rows


def _rows(
    connection: psycopg.Connection[Any],
    statement: bytes,
    parameters: dict[str, Any],
    *,
    prepare: bool = False,
) -> list[ImageRow]:
    # Not prepared: one plan for every account would sort all that a long one has for each page.
    with connection.cursor(row_factory=tuple_row) as cursor:
        return newest_first(cursor.execute(statement, parameters, prepare=prepare))
