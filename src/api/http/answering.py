"""Sending an answer with what every answer carries: the request's id, and the headers of safety."""

from collections.abc import Iterable, Mapping
from typing import Any

from litestar.types import Message, Scope, Send

from api.http.bounded_http import WHOLE

Headers = tuple[tuple[bytes, bytes], ...]

_SAFETY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_PRIVATE = (*_SAFETY, (b"cache-control", b"no-store"))
_JSON = b"".join(
    b"%b: %b\r\n" % header for header in (*_PRIVATE, (b"content-type", b"application/json"))
)
# Of these nothing stands in `_JSON`, and no value of theirs has a line break.
_PLAIN = frozenset({"Location", "Idempotency-Replayed", "Preference-Applied"})


class Answering:
    """ASGI's `send` of a request. `status` is what was answered; 500 until something was."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self.status = 500
        self._scope = scope
        self._send = send
        self._request_id = request_id.encode("ascii")

    async def __call__(self, message: Message) -> None:
        """Send it on, a head with what it lacks."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            defaults = _PRIVATE if self._scope["path"].startswith("/v1/") else _SAFETY
            message["headers"] = self._completed(message["headers"], defaults)
        await self._send(message)

    def send_json(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Send a whole answer below /v1; False, with nothing sent, where that takes the long way.

        As `__call__` would, past what ASGI's messages cost.
        """
        extensions: dict[str, Any] = self._scope.get("extensions") or {}
        whole = extensions.get(WHOLE)
        if whole is None or not _PLAIN.issuperset(headers):
            return False
        own = "".join([f"{name.lower()}: {value}\r\n" for name, value in headers.items()])
        head = b"%b%bx-request-id: %b\r\n" % (own.encode("latin-1"), _JSON, self._request_id)
        if not whole(status, head, body):
            return False
        self.status = status
        return True

    def _completed(
        self, headers: Iterable[tuple[bytes, bytes]], defaults: Headers
    ) -> list[tuple[bytes, bytes]]:
        """The answer's own headers, with the defaults for those that it has not set."""
        own = [header for header in headers if header[0].lower() != b"x-request-id"]
        names = {name.lower() for name, _ in own}
        own.append((b"x-request-id", self._request_id))
        own += [header for header in defaults if header[0] not in names]
        return own
