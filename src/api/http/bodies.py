"""Reading JSON bodies strictly: no text for a number, no unknown field, no guessing."""

from typing import Any, cast

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from litestar.types import HTTPReceiveMessage, Receive, Scope
from litestar.utils.scope.state import ScopeState

from api.http.principals import Principal
from api.problems.field_errors import invalid_from
from api.problems.refusals import BadBodyError
from api.services import Services
from api.texts.i18n import Locale, locale_of

BODY_BYTES_MAX = 65_536
"""For every body but a generation's, which may carry a picture."""


def decode_json(body: bytes, kind: Any) -> Any:
    """The body as `kind`. Raises `BadBodyError` or `InvalidInputError`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise invalid_from(error, body) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadBodyError from None


async def small_body(receive: Receive) -> bytes:
    """The body, of which `Content-Length` has told that it is small: without Litestar's bounds.

    Raises `InternalServerException` where the caller hangs up, as `Request.body` does.
    """
    body = b""
    more = True
    while more:
        message = cast("HTTPReceiveMessage", await receive())
        if message["type"] == "http.disconnect":
            raise InternalServerException("client disconnected prematurely")
        body += message["body"]
        more = message.get("more_body", False)
    return body


def keep_body(scope: Scope, body: bytes) -> None:
    """Have a request that is made of the scope find what was read already."""
    ScopeState.from_scope(scope).body = body


class StrictRequest(Request[Principal | None, None, State]):
    """Decodes `data` itself: Litestar's own conversion would take "5" for 5."""

    @property
    def services(self) -> Services:
        """What the handlers work with."""
        return cast("Services", self.app.state.services)

    @property
    def locale(self) -> Locale:
        """The language that the caller prefers among ours."""
        return locale_of(self.headers.get("Accept-Language"))

    async def json(self) -> Any:
        """The body as the handler's `data` is annotated."""
        field = self.route_handler.parsed_data_field
        return decode_json(await self.body(), field.annotation if field else Any)
