"""Logging in and out over HTTP."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, delete, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.credentials import Role
from api.http.auth import requires
from api.http.bodies import StrictRequest
from api.http.ids import Email
from api.http.parameters import strict_query
from api.http.principals import Principal
from api.openapi.documented import header, problems, refusals
from api.problems.field_errors import invalid
from api.problems.refusals import UnauthenticatedError
from api.services import Services
from api.sessions.cookies import no_cookie, session_cookie
from api.sessions.csrf import check_origin, csrf_token
from api.sessions.demo import begin_demo
from api.sessions.store import SESSION_SECONDS, end_all
from api.texts.i18n import msg

Password = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `demo`, where this is one, or an e-mail address with its password."""

    demo: bool = False
    email: Email | None = None
    password: Password | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session as its browser may know it; its id is in the cookie alone."""

    account_id: str
    role: Role
    csrf_token: Annotated[
        str, msgspec.Meta(description="To be sent as `X-CSRF-Token` with every unsafe request.")
    ]
    expires_at: datetime


@post(
    "/v1/session",
    status_code=200,
    guards=[strict_query],
    security=[{}],
    tags=["account"],
    summary="Log in with a browser",
    response_headers=[header("Set-Cookie", "The session; no script can read it.")],
    responses=problems(
        "UNAUTHENTICATED", "FORBIDDEN", "INVALID_INPUT", "RATE_LIMITED", "UNAVAILABLE", "UNKNOWN"
    ),
)
async def log_in(
    data: JSONBody[Login], request: StrictRequest, services: NamedDependency[Services]
) -> Response[Session]:
    """A new session at every login, whatever cookie came along."""
    check_origin(request)
    if not data.demo:
        if data.email is None or data.password is None:
            raise invalid(
                "email" if data.email is None else "password", msg("This field is required.")
            )
        raise UnauthenticatedError
    session = await begin_demo(services)
    document = Session(
        account_id=session.account_id,
        role=session.role,
        csrf_token=csrf_token(session.id),
        expires_at=session.expires_at,
    )
    cookie = session_cookie(services.settings, session.id, SESSION_SECONDS)
    return Response(document, cookies=[cookie])


@delete(
    "/v1/session",
    status_code=204,
    guards=[requires("user"), strict_query],
    tags=["account"],
    summary="Log out everywhere",
    responses=refusals(),
)
async def log_out(
    services: NamedDependency[Services], caller: NamedDependency[Principal]
) -> Response[None]:
    """Every session of the account ends; keys stay."""
    await services.threads.query(end_all, caller.account)
    return Response(None, cookies=[no_cookie(services.settings)])
