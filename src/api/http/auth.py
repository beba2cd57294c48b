"""Who is asking: keys and sessions, looked up in every request, so that an ended one stops at once.

Only a plain acceptance remembers whose a key is, and has the ledger check that in its commit.

A key that is sent is what counts, whatever cookie comes with it.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope

from api.credentials import Role, key_hash
from api.http.about import note
from api.http.principals import BOOTSTRAP, Principal
from api.problems.refusals import ForbiddenError, UnauthenticatedError
from api.services import Services
from api.sessions.cookies import session_id_of
from api.sessions.csrf import check_request
from api.texts.i18n import msg

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]

KEY_CHARACTERS_MAX = 256


def requires(role: Role) -> Guard:
    """A guard that lets only callers with that role or a higher one pass, and binds the caller.

    Every route below /v1 has one; one that forgets it has no caller to work with and fails.
    """

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        principal: Principal | None = connection.scope.get("user")  # a guard before this one
        if principal is None:
            principal = await authenticate(connection)
            let_in(connection.scope, principal)
        if not principal.may(role):
            raise ForbiddenError(msg("Your role does not allow this."))

    return guard


def let_in(scope: Scope, principal: Principal) -> None:
    """From here on it is the caller, also in the log."""
    note(account_id=principal.account_id, actor=principal.actor)
    scope["user"] = principal


async def authenticate(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """The caller, by key or else by session. Raises `UnauthenticatedError`, `ForbiddenError`."""
    services = cast("Services", connection.app.state.services)
    if "Authorization" in connection.headers:
        return await _by_key(connection, services)
    session_id = session_id_of(connection, services.settings)
    if session_id is None:
        raise UnauthenticatedError
    principal = await by_session(services, session_id)
    check_request(connection, session_id)
    return principal


async def by_session(services: Services, session_id: str) -> Principal:
    """Whose session it is. Raises `UnauthenticatedError`."""
    return known(await services.sessions.get(key_hash(session_id)))


def hash_of_key(services: Services, authorization: str) -> bytes | None:
    """By which the key in that header is found; None for the one that is set, not stored.

    Raises `UnauthenticatedError` where it cannot be a key.
    """
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not 0 < len(key) <= KEY_CHARACTERS_MAX:
        raise UnauthenticatedError
    admin_key = services.settings.mintage_admin_key
    if admin_key is not None and hmac.compare_digest(key.encode(), admin_key.encode()):
        return None
    return key_hash(key)


async def _by_key(connection: ASGIConnection[Any, Any, Any, Any], services: Services) -> Principal:
    hashed = hash_of_key(services, connection.headers.get("Authorization", ""))
    return BOOTSTRAP if hashed is None else known(await services.keys.get(hashed))


def current(request: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """The caller that the guard has let in; injected as `caller`."""
    return cast("Principal", request.scope["user"])


def known(principal: Principal | None) -> Principal:
    """The caller. Raises `UnauthenticatedError` for nobody."""
    if principal is None:
        raise UnauthenticatedError
    return principal
