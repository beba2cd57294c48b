"""Finished images: lists, favourites, and links to their bytes."""

from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect

from api.generations.documents import image_of_row
from api.http.auth import current
from api.http.bodies import StrictRequest
from api.http.cursors import LIMIT_DEFAULT, CursorParameter, LimitParameter, Listing, Page
from api.http.often import Answer, OftenAsked
from api.http.principals import Principal
from api.http.schemas import Image
from api.images.naming import download_name
from api.openapi.documented import header, refusals
from api.problems.refusals import NotFoundError
from api.prompts.handlers import QueryText
from api.services import Services
from api.storing import LINK_SECONDS
from projections.images import ImageRow, get_image, list_images
from projections.level import at_level
from projections.pages import PageOf

_VIEWS = ("images",)
_LIKE = "INSERT INTO favorites (account_id, image_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_UNLIKE = "DELETE FROM favorites WHERE account_id = %s AND image_id = %s"
_LINK_HEADER = header("Location", "A link that opens for five minutes.")


@OftenAsked(http_method="GET", summary="My images", responses=refusals("INVALID_INPUT"))
async def list_mine(
    *,
    request: StrictRequest,
    favorite: Annotated[
        bool | None, QueryParameter(description="Only those, or only others.")
    ] = None,
    q: QueryText = None,
    cursor: CursorParameter = None,
    limit: LimitParameter = LIMIT_DEFAULT,
) -> Response[Page[Image]]:
    """Newest first; `q` is a part of the prompt's title."""
    services, account_id = request.services, current(request).account
    listing = Listing("images", account=account_id, favorite=favorite, q=q)
    before = listing.places(cursor, tuple[int, int])

    def read() -> list[ImageRow]:
        with at_level(services.pool, account_id, views=_VIEWS) as connection:
            return list_images(
                connection, account_id, favorite=favorite, q=q, before=before, limit=limit + 1
            )

    rows = None
    if favorite is None and q is None:
        rows = await services.image_pages.get(PageOf(account_id, limit + 1, *(before or ())))
    if rows is None:  # nobody else waits for what may take longer
        rows = await services.threads.read_view(read)
    return Answer(listing.page(rows, limit, image_of_row, lambda row: row.place))


@get("/{image_id:uuid}", summary="One image", responses=refusals("NOT_FOUND"))
async def get_one(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    image_id: FromPath[UUID],
) -> Image:
    """With the links to its bytes."""
    return image_of_row(await _find(services, caller, image_id))


@put("/{image_id:uuid}/favorite", summary="Mark", responses=refusals("NOT_FOUND"))
async def mark(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    image_id: FromPath[UUID],
) -> Image:
    """A favourite from now on."""
    return await _mark(services, caller, image_id, _LIKE)


@delete(
    "/{image_id:uuid}/favorite",
    status_code=200,
    summary="Unmark",
    responses=refusals("NOT_FOUND"),
)
async def unmark(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    image_id: FromPath[UUID],
) -> Image:
    """No favourite any more."""
    return await _mark(services, caller, image_id, _UNLIKE)


@get(
    "/{image_id:uuid}/content",
    status_code=307,
    summary="The provider's bytes",
    response_headers=[_LINK_HEADER],
    responses=refusals("NOT_FOUND"),
)
async def content(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    image_id: FromPath[UUID],
) -> Redirect:
    """Unchanged: they hash to `sha256`."""
    row = await _find(services, caller, image_id)
    return _redirect(services, row.record.key, row.record.mime_type)


@get(
    "/{image_id:uuid}/thumbnail",
    status_code=307,
    summary="A small WebP",
    response_headers=[_LINK_HEADER],
    responses=refusals("NOT_FOUND"),
)
async def thumbnail(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    image_id: FromPath[UUID],
) -> Redirect:
    """At most 512 px on the long side."""
    row = await _find(services, caller, image_id)
    return _redirect(services, row.record.thumbnail_key, "image/webp")


@get(
    "/{image_id:uuid}/download",
    status_code=307,
    summary="The provider's bytes, as a file",
    response_headers=[_LINK_HEADER],
    responses=refusals("NOT_FOUND"),
)
async def download(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    image_id: FromPath[UUID],
) -> Redirect:
    """With `Content-Disposition: attachment`."""
    row = await _find(services, caller, image_id)
    return _redirect(services, row.record.key, row.record.mime_type, download_name(row))


async def _find(services: Services, caller: Principal, image_id: UUID) -> ImageRow:
    account_id = caller.account

    def read() -> ImageRow | None:
        with services.pool.connection() as connection:
            row = get_image(connection, account_id, image_id)
        if row is None:  # an image never changes: only where it is not there can the view be behind
            with at_level(services.pool, account_id, views=_VIEWS) as connection:
                row = get_image(connection, account_id, image_id)
        return row

    row = await services.threads.read_view(read)
    if row is None:
        raise NotFoundError
    return row


async def _mark(services: Services, caller: Principal, image_id: UUID, statement: str) -> Image:
    await _find(services, caller, image_id)
    await services.threads.query(
        lambda connection: connection.execute(statement.encode(), (caller.account, image_id))
    )
    return image_of_row(await _find(services, caller, image_id))


def _redirect(services: Services, key: str, mime_type: str, name: str | None = None) -> Redirect:
    link = services.storage.link(
        key, expires_seconds=LINK_SECONDS, mime_type=mime_type, download_name=name
    )
    return Redirect(link, status_code=307)
