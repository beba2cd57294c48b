"""What the gallery shows: images with the generations that they came of."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from api.generations.documents import image_of_row
from api.http.schemas import Image
from api.pages.shapes import nearest_ratio
from api.services import Services
from projections.images import ImageRow, images_of, list_images
from projections.level import at_level
from projections.reads import GenerationRow, get_generations

_VIEWS = ("images", "generations")


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """An image, the shape of its place, and what it was asked for with."""

    image: Image
    shape: str
    generation: GenerationRow | None

    @property
    def cost(self) -> int | None:
        """What this one image has cost."""
        made = self.generation
        return made.cost // made.count if made else None


class Roll(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the gallery; `end` is where it ended if there is more."""

    shots: Sequence[Shot]
    end: tuple[int, int] | None = None


def read_roll(
    services: Services,
    account_id: str,
    *,
    favorite: bool | None,
    q: str | None,
    before: tuple[int, int] | None,
    limit: int,
) -> Roll:
    """At most `limit` images, newest first."""
    with at_level(services.pool, account_id, views=_VIEWS) as connection:
        rows = list_images(
            connection, account_id, favorite=favorite, q=q, before=before, limit=limit + 1
        )
        kept = rows[:limit]
        made = get_generations(connection, account_id, {row.charge.generation_id for row in kept})
    more = len(rows) > limit
    return Roll(
        shots=[_shot(row, made.get(row.charge.generation_id)) for row in kept],
        end=kept[-1].place if more else None,
    )


def read_generation(services: Services, account_id: str, generation_id: UUID) -> Roll:
    """All images of one generation, in their order; none where there is no such one."""
    with at_level(services.pool, account_id, views=_VIEWS) as connection:
        made = get_generations(connection, account_id, {generation_id})
        rows = images_of(connection, made.values()).get(generation_id, [])
    return Roll(shots=[_shot(row, made[generation_id]) for row in rows])


def _shot(row: ImageRow, made: GenerationRow | None) -> Shot:
    shape = nearest_ratio(row.record.width, row.record.height)
    return Shot(image=image_of_row(row), shape=shape, generation=made)
