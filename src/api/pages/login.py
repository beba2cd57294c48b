"""Logging in and out, and choosing a language: forms that need no script."""

from typing import Any, cast

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Redirect, Template

from api.http.auth import by_session
from api.http.bodies import StrictRequest
from api.pages.language import language_cookie
from api.pages.places import HOME, local_path
from api.pages.rendering import page
from api.problems.refusals import BadBodyError, UnauthenticatedError
from api.services import Services
from api.sessions.cookies import no_cookie, session_cookie, session_id_of
from api.sessions.csrf import FIELD, check_origin, check_token
from api.sessions.demo import begin_demo
from api.sessions.store import SESSION_SECONDS, end_all


@get("/", include_in_schema=False, sync_to_thread=False)
def home() -> Redirect:
    """The first page is where pictures are made."""
    return Redirect(HOME, status_code=303)


@get("/login", include_in_schema=False)
async def show(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    next: FromQuery[str | None] = None,  # noqa: A002 - what the whole web calls it
) -> Template | Redirect:
    """Who is logged in already goes on at once."""
    place = local_path(next)
    if await _is_logged_in(request, services):
        return Redirect(place, status_code=303)
    is_demo = services.settings.mintage_env == "demo"
    return page(request, services, "login.html", None, next=place, is_demo=is_demo)


@post("/login", include_in_schema=False, status_code=303)
async def enter_demo(request: StrictRequest, services: NamedDependency[Services]) -> Response[None]:
    """One press; a new session whatever cookie came along."""
    fields = await _fields(request)
    session = await begin_demo(services)
    cookie = session_cookie(services.settings, session.id, SESSION_SECONDS)
    return _go(local_path(fields.get("next")), cookie)


@post("/logout", include_in_schema=False, status_code=303)
async def leave(request: StrictRequest, services: NamedDependency[Services]) -> Response[None]:
    """Everywhere, as `DELETE /v1/session` does."""
    fields = await _fields(request)
    session_id = session_id_of(request, services.settings)
    if session_id is not None:
        check_token(session_id, fields.get(FIELD, ""))
        try:
            caller = await by_session(services, session_id)
        except UnauthenticatedError:
            pass
        else:
            await services.threads.query(end_all, caller.account)
    return _go("/login", no_cookie(services.settings))


@post("/language", include_in_schema=False, status_code=303)
async def choose_language(
    request: StrictRequest, services: NamedDependency[Services]
) -> Response[None]:
    """The choice stays for a year."""
    fields = await _fields(request)
    cookie = language_cookie(fields.get("language", ""), services.settings)
    return _go(local_path(fields.get("next")), cookie)


async def _fields(request: StrictRequest) -> dict[str, str]:
    """A form's texts, from a page of ours."""
    check_origin(request)
    if request.content_type[0] != "application/x-www-form-urlencoded":
        raise BadBodyError
    form = await request.form()
    return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def _go(place: str, cookie: Any) -> Response[None]:
    cookies = [] if cookie is None else [cookie]
    return cast("Response[None]", Redirect(place, status_code=303, cookies=cookies))


async def _is_logged_in(request: Request[Any, Any, Any], services: Services) -> bool:
    session_id = session_id_of(request, services.settings)
    if session_id is None:
        return False
    try:
        await by_session(services, session_id)
    except UnauthenticatedError:
        return False
    return True
