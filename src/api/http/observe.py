"""Round every request: its id, its line in the log, its figures, and the headers of safety.

It stands outside Litestar's router, so that what no route takes is seen as well.
"""

import re
import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram
from uuid_utils import uuid7

from api.metrics import REQUEST_SECONDS, REQUESTS

Headers = tuple[tuple[bytes, bytes], ...]

UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,128}")
_SAFETY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_PRIVATE = (*_SAFETY, (b"cache-control", b"no-store"))
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
_log = structlog.get_logger("api.requests")


class Observe:
    """ASGI, in front of everything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = _log.bind()  # once: the proxy would look for it in each request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and tell how it went."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                defaults = _PRIVATE if scope["path"].startswith("/v1/") else _SAFETY
                message["headers"] = _completed(message["headers"], request_id, defaults)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            _tell(self._log, scope, status, time.perf_counter() - started)


def _completed(
    headers: Iterable[tuple[bytes, bytes]], request_id: str, defaults: Headers
) -> list[tuple[bytes, bytes]]:
    """The answer's own headers, with the defaults for those that it has not set."""
    own = [header for header in headers if header[0].lower() != b"x-request-id"]
    names = {name.lower() for name, _ in own}
    own.append((b"x-request-id", request_id.encode("ascii")))
    own += [header for header in defaults if header[0] not in names]
    return own


def _tell(log: Any, scope: Any, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    route = scope.get("path_template") or UNMATCHED
    requests, request_seconds = _figures(method, route, status)
    requests.inc()
    request_seconds.observe(seconds)
    if generation_id := scope.get("path_params", {}).get("generation_id"):
        structlog.contextvars.bind_contextvars(generation_id=str(generation_id))
    tell = log.debug if route in _QUIET else log.info
    tell("request", method=method, route=route, status=status, duration_ms=round(seconds * 1000, 1))


@cache
def _figures(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """As many as there are: methods, routes and statuses are all from short lists."""
    return REQUESTS.labels(method, route, str(status)), REQUEST_SECONDS.labels(method, route)


def _request_id(scope: Any) -> str:
    """The caller's own, if it is sane, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return str(uuid7())
