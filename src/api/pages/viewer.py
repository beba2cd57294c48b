"""Who looks at a page, by session; who does not is sent to log in."""

from typing import Any, cast

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.accounts.numbers import numbers_of
from api.accounts.store import profile_of
from api.connection import Connection
from api.credentials import Role
from api.http.auth import Guard, by_session, let_in
from api.http.principals import Principal
from api.problems.refusals import NotFoundError, UnauthenticatedError
from api.services import Services
from api.sessions.cookies import session_id_of
from api.sessions.csrf import csrf_token


class LoginRequiredError(Exception):
    """The page is shown to those who are logged in."""


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is logged in, with what stands in every page's head."""

    account_id: str
    role: Role
    name: str
    is_member: bool
    available: int
    held: int
    position: int
    csrf_token: str

    @property
    def helps(self) -> bool:
        """Whether the pages of support are theirs."""
        return self.role != "user"


async def signed_in(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard that binds the caller. Raises `LoginRequiredError`."""
    services = cast("Services", connection.app.state.services)
    session_id = session_id_of(connection, services.settings)
    if session_id is None:
        raise LoginRequiredError
    try:
        principal = await by_session(services, session_id)
    except UnauthenticatedError:
        raise LoginRequiredError from None
    let_in(connection.scope, principal)


def only(role: Role) -> Guard:
    """A guard behind `signed_in`: for others there is no such page."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        if not cast("Principal", connection.scope["user"]).may(role):
            raise NotFoundError

    return guard


async def find_viewer(request: Request[Any, Any, Any]) -> Viewer:
    """The one that the guard has let in; injected as `viewer`."""
    services = cast("Services", request.app.state.services)
    principal = cast("Principal", request.scope["user"])
    session_id = session_id_of(request, services.settings)
    assert session_id is not None
    return await services.threads.query(_viewer, principal, session_id)


def _viewer(connection: Connection, principal: Principal, session_id: str) -> Viewer:
    numbers = numbers_of(connection, principal.account)
    profile = profile_of(connection, principal.account)
    return Viewer(
        account_id=principal.account,
        role=principal.role,
        name=profile.name if profile and profile.name else principal.account,
        is_member=numbers.is_member,
        available=numbers.available,
        held=numbers.held,
        position=numbers.position,
        csrf_token=csrf_token(session_id),
    )
