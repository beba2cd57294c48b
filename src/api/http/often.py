"""Routes that are asked more often than all others: Litestar's, answered without its machinery.

Litestar finds a route, copies the handler for each guard, injects, and wraps the answer and each
layer that may fail; together that costs more than the decoding, the check of the key, the decision
and the encoding. What these routes promise stays in one place: they are declared as any other, and
are any other's wherever a request has something that only Litestar's way knows.
"""

from collections.abc import Awaitable, Callable, Mapping
from inspect import Parameter, signature
from typing import Any, TypeVar

import msgspec
from litestar import Litestar, Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import FormMultiDict
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Empty, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from api.http.answering import Answering

Content = TypeVar("Content")

PLAINLY = "plainly"
"""In a route's `opt`, a `Plainly`: asked before there is a request, guards and handler. It lets the
caller in itself, or answers None and has done nothing but to read the body."""

Plainly = Callable[[Scope, Receive], Awaitable[Response[Any] | None]]


class OftenAsked(HTTPRouteHandler):
    """A decorator, for handlers that answer a `Response` of a struct, without cookies or tasks.

    Those that take `request` alone, or defaults beside it, are answered directly where the request
    has no query.
    """

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Ask the guards, which change nothing."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc] # as Litestar's own

    async def to_response(
        self,
        app: Litestar,  # noqa: ARG002 - as Litestar calls it
        data: Response[Any],
        request: Request[Any, Any, Any],  # noqa: ARG002
    ) -> ASGIApp:
        """The answer as it is sent."""
        return _Json(data)


class Directly:
    """ASGI, between what surrounds every request and Litestar: asks such handlers itself."""

    def __init__(self, app: Litestar, rest: ASGIApp) -> None:
        self._handlers = _handlers(app)
        self._exception_handlers = app.exception_handlers
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass it on."""
        handler = None
        if scope["type"] == ScopeType.HTTP and not scope["query_string"]:
            handler = self._handlers.get((scope["method"], scope["path"]))
        if handler is None:
            await self._rest(scope, receive, send)
            return
        scope["path_template"] = scope["path"]
        scope["path_params"] = {}
        scope["route_handler"] = handler
        plainly: Plainly | None = handler.opt.get(PLAINLY)
        sending: ASGIApp
        try:
            response = await plainly(scope, receive) if plainly else None
            sending = _Json(response or await _asked(handler, scope, receive, send))
        except Exception as error:  # noqa: BLE001 - as Litestar's, whose handler is asked
            answer = self._exception_handlers[Exception]
            request = handler.resolve_request_class()(scope, receive, send)
            sending = answer(request, error).to_asgi_response(app=None, request=request)
        if isinstance(sending, _Json) and sending.leaves_at_once(send):
            return  # without a coroutine for it
        await sending(scope, receive, send)


async def _asked(handler: OftenAsked, scope: Scope, receive: Receive, send: Send) -> Response[Any]:
    request = handler.resolve_request_class()(scope, receive, send)
    try:
        await handler.authorize_connection(request)
        response: Response[Any] = await handler.fn(request=request)
    finally:
        if (form := ScopeState.from_scope(scope).form) is not Empty:
            await FormMultiDict.from_form_data(form).close()
    return response


def _handlers(app: Litestar) -> Mapping[tuple[str, str], OftenAsked]:
    return {
        (method, route.path): handler
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, OftenAsked) and _needs_nothing_else(handler)
        for method in handler.http_methods
    }


def _needs_nothing_else(handler: OftenAsked) -> bool:
    """Whether there is nothing round it, and nothing to be injected."""
    around = (
        handler.resolve_middleware()
        or handler.resolve_before_request()
        or handler.resolve_after_response()
        or handler.after_request
    )
    parameters = signature(handler.fn).parameters
    return not around and all(
        name == "request" or parameter.default is not Parameter.empty
        for name, parameter in parameters.items()
    )


class Answer(Response[Content]):
    """For such handlers: of Litestar's response what they use, since making one takes time."""

    def __init__(  # as much as `_Json` sends
        self, content: Content, *, status_code: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        self.content = content
        self.status_code = status_code
        self.headers = headers or {}


class _Json:
    def __init__(self, response: Response[Any]) -> None:
        self._headers = response.headers
        self._status = response.status_code or 200
        self._body = msgspec.json.encode(response.content)

    def leaves_at_once(self, send: Send) -> bool:
        """Whether it is sent, whole; otherwise it is to be called."""
        if not isinstance(send, Answering):
            return False
        return send.send_json(self._status, self._headers, self._body)

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        if self.leaves_at_once(send):
            return
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in self._headers.items()
        ]
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", b"%d" % len(self._body)))
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})
