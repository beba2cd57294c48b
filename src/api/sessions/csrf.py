"""What keeps other sites from acting with a browser's session: where it comes from, and a token."""

import base64
import hashlib
import hmac
from typing import Any, cast
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.types import HTTPScope

from api.problems.refusals import ForbiddenError
from api.texts.i18n import msg

HEADER = "X-CSRF-Token"
FIELD = "csrf_token"
"""The same in a form."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PURPOSE = b"mintage csrf token v1"


def csrf_token(session_id: str) -> str:
    """The token of a session. Whoever knows it cannot tell the session's id from it."""
    digest = hmac.digest(session_id.encode(), _PURPOSE, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def check_request(connection: ASGIConnection[Any, Any, Any, Any], session_id: str) -> None:
    """Pass what only looks, and what our own pages ask. Raises `ForbiddenError`."""
    if cast("HTTPScope", connection.scope)["method"] in _SAFE_METHODS:
        return
    check_origin(connection)
    check_token(session_id, connection.headers.get(HEADER, ""))


def check_token(session_id: str, given: str) -> None:
    """Raise `ForbiddenError` unless that is the session's token."""
    if not hmac.compare_digest(csrf_token(session_id).encode(), given.encode()):
        raise ForbiddenError(msg("This page is out of date. Load it again, then try once more."))


def check_origin(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Raise `ForbiddenError` for what another site's page has sent.

    Every browser says where an unsafe request comes from; what says nothing is none.
    """
    headers = connection.headers
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        fine = site == "same-origin"
    else:
        origin = headers.get("Origin")
        fine = origin is None or _host(origin) == headers.get("Host", "").lower()
    if not fine:
        raise ForbiddenError(msg("This request comes from another site."))


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
