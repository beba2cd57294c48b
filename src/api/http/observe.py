"""Round every request: its id, its line in the log, its figures, and the headers of safety.

It stands outside Litestar's router, so that what no route takes is seen as well.
"""

import re
import time
from functools import cache
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from prometheus_client import Counter, Histogram
from uuid_utils import uuid7

from api.http import about
from api.http.answering import Answering
from api.logs import request_log
from api.metrics import REQUEST_SECONDS, REQUESTS

UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,128}")
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})


class Observe:
    """ASGI, in front of everything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = request_log()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and tell how it went."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        known = about.begin(request_id)
        answering = Answering(scope, send, request_id)
        try:
            await self._app(scope, receive, answering)
        finally:
            if generation_id := scope.get("path_params", {}).get("generation_id"):
                known["generation_id"] = str(generation_id)
            _tell(self._log, scope, answering.status, time.perf_counter() - started)


def _tell(log: Any, scope: Any, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    route = scope.get("path_template") or UNMATCHED
    requests, request_seconds = _figures(method, route, status)
    requests.inc()
    request_seconds.observe(seconds)
    tell = log.debug if route in _QUIET else log.info
    tell("request", method=method, route=route, status=status, duration_ms=round(seconds * 1000, 1))


@cache
def _figures(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """As many as there are: methods, routes and statuses are all from short lists."""
    return REQUESTS.labels(method, route, str(status)), REQUEST_SECONDS.labels(method, route)


def _request_id(scope: Any) -> str:
    """The caller's own, if it is sane, else a new one."""
    given = dict(scope["headers"]).get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return str(given.decode("ascii"))
    return str(uuid7())
