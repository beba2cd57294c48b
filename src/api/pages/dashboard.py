"""The page of one's own images."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import Template

from api.http.cursors import CursorParameter, Listing
from api.http.exports import Export
from api.http.principals import Principal
from api.images.archive import IMAGES_MAX, IdsParameter, archive_of
from api.pages.clock import Clock
from api.pages.gallery import read_generation, read_roll
from api.pages.places import PartParameter, address
from api.pages.rendering import page
from api.pages.texts import LIST_TEXTS
from api.pages.viewer import Viewer
from api.problems.refusals import NotFoundError
from api.services import Services

PATH = "/dashboard"
PAGE = 16
SHOWN_MAX = 240


@get(PATH, include_in_schema=False)
async def show(
    *,
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    viewer: NamedDependency[Viewer],
    clock: NamedDependency[Clock],
    favorite: FromQuery[bool] = False,
    q: PartParameter = None,
    cursor: CursorParameter = None,
    shown: Annotated[int, QueryParameter(ge=1, le=SHOWN_MAX)] = PAGE,
    generation: FromQuery[UUID | None] = None,
) -> Template:
    """Newest first. `shown` is how many were there before the page was loaded again."""
    text = (q or "").strip() or None
    listing = Listing("images", account=viewer.account_id, favorite=favorite or None, q=text)
    if generation is not None:
        roll = await services.threads.read_view(
            read_generation, services, viewer.account_id, generation
        )
        if not roll.shots:
            raise NotFoundError
    else:
        roll = await services.threads.read_view(
            read_roll,
            services,
            viewer.account_id,
            favorite=favorite or None,
            q=text,
            before=listing.places(cursor, tuple[int, int]),
            limit=PAGE if cursor else shown,
        )
    kept = {"favorite": "true"} if favorite else {}
    words = {"q": text} if text else {}
    end = {"cursor": listing.cursor(*roll.end)} if roll.end else None
    return page(
        request,
        services,
        "dashboard.html",
        viewer,
        script_texts=LIST_TEXTS,
        clock=clock,
        shots=roll.shots,
        more_url=address(PATH, kept | words | end) if end else None,
        newest_url=address(PATH, kept | words),
        all_url=address(PATH, words),
        favorites_url=address(PATH, words | {"favorite": "true"}),
        is_later=cursor is not None,
        favorite=favorite,
        q=text or "",
        generation=generation,
        images_max=IMAGES_MAX,
        shown_max=SHOWN_MAX,
    )


@get("/dashboard/download", include_in_schema=False)
async def download(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    ids: IdsParameter = None,
) -> Export:
    """The same zip as the API's; what is wrong with it is told as a page."""
    return await archive_of(services, caller.account, ids)
