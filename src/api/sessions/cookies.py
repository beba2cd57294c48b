"""The session's cookie: its name, and how it is set and taken back."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from api.settings import Settings

ID_CHARACTERS_MAX = 100


def cookie_name(settings: Settings) -> str:
    """In production a name that browsers take over TLS only, and from this host only."""
    return "__Host-mintage_session" if _is_secure(settings) else "mintage_session"


def session_cookie(settings: Settings, session_id: str, seconds: int) -> Cookie:
    """The cookie that carries a session; no script can read it."""
    return Cookie(
        key=cookie_name(settings),
        value=session_id,
        max_age=seconds,
        path="/",
        secure=_is_secure(settings),
        httponly=True,
        samesite="lax",
    )


def no_cookie(settings: Settings) -> Cookie:
    """What makes a browser forget it."""
    return session_cookie(settings, "", 0)


def session_id_of(connection: ASGIConnection[Any, Any, Any, Any], settings: Settings) -> str | None:
    """The session id that the browser has sent, if any that could be ours."""
    session_id = connection.cookies.get(cookie_name(settings))
    return session_id if session_id and len(session_id) <= ID_CHARACTERS_MAX else None


def _is_secure(settings: Settings) -> bool:
    return settings.mintage_env == "production"
