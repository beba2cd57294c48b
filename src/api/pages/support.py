"""Support's first page: finding an account."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from api.audit.accounts import find_accounts
from api.http.cursors import LIMIT_DEFAULT, CursorParameter, Page
from api.http.principals import Principal
from api.pages.clock import Clock
from api.pages.places import PartParameter, address
from api.pages.rendering import page
from api.pages.texts import LIST_TEXTS
from api.pages.viewer import Viewer
from api.services import Services


@get("/support", include_in_schema=False)
async def find(
    *,
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    viewer: NamedDependency[Viewer],
    clock: NamedDependency[Clock],
    q: PartParameter = None,
    cursor: CursorParameter = None,
) -> Template:
    """Nobody is looked at, and nothing recorded, before something is asked for."""
    text = (q or "").strip()
    found: Page[Any] = Page([], None)
    if text:
        found = await find_accounts(services, caller, text, cursor, LIMIT_DEFAULT)
    more = {"q": text, "cursor": found.next_cursor} if found.next_cursor else None
    return page(
        request,
        services,
        "support.html",
        viewer,
        script_texts=LIST_TEXTS,
        clock=clock,
        reader=caller.actor,
        q=text,
        accounts=found.items,
        more_url=address("/support", more) if more else None,
    )
