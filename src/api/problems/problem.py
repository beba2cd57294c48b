"""RFC 9457 problems: the codes of the contract, and how one goes out."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response

from api.texts.i18n import Locale, Message, language_tag, msg

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1


class Kind(msgspec.Struct, frozen=True):
    """What every problem of one code has in common."""

    status: int
    title: Message


CODES: Mapping[str, Kind] = {
    "INSUFFICIENT_TOKENS": Kind(402, msg("Not enough tokens")),
    "PROMPT_NOT_FOUND": Kind(404, msg("No such prompt")),
    "MEMBERSHIP_REQUIRED": Kind(403, msg("Members only")),
    "INVALID_INPUT": Kind(422, msg("Input not valid")),
    "IDEMPOTENCY_KEY_REUSED": Kind(422, msg("Idempotency key used for other input")),
    "PRICE_CHANGED": Kind(409, msg("The price has changed")),
    "UNSUPPORTED_IMAGE": Kind(422, msg("Image not supported")),
    "PAYLOAD_TOO_LARGE": Kind(413, msg("Too large")),
    "UNAUTHENTICATED": Kind(401, msg("Not logged in")),
    "FORBIDDEN": Kind(403, msg("Not allowed")),
    "NOT_FOUND": Kind(404, msg("Not found")),
    "METHOD_NOT_ALLOWED": Kind(405, msg("Method not allowed")),
    "CONFLICT": Kind(409, msg("Conflict")),
    "RATE_LIMITED": Kind(429, msg("Too many requests")),
    "UNAVAILABLE": Kind(503, msg("Not available now")),
    "UNKNOWN": Kind(500, msg("Unexpected error")),
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem before it has a language. `status` where it is not the code's own."""

    code: str
    detail: Message
    status: int | None = None
    members: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}

    @property
    def http_status(self) -> int:
        """The status that it goes out with."""
        return self.status or CODES[self.code].status

    def document(self, locale: Locale, instance: str) -> dict[str, Any]:
        """The wire form; messages among the members are put into words too."""
        return {
            "type": f"urn:mintage:problem:{self.code}",
            "title": CODES[self.code].title.text(locale),
            "status": self.http_status,
            "detail": self.detail.text(locale),
            "code": self.code,
            "instance": instance,
            **{name: _in_words(value, locale) for name, value in self.members.items()},
        }

    def response(self, locale: Locale, instance: str) -> Response[dict[str, Any]]:
        """The HTTP answer."""
        return Response(
            content=self.document(locale, instance),
            status_code=self.http_status,
            media_type=MEDIA_TYPE,
            headers={**self.headers, "Content-Language": language_tag(locale)},
        )


def _in_words(value: Any, locale: Locale) -> Any:
    match value:
        case Message():
            return value.text(locale)
        case msgspec.Struct():
            return {k: _in_words(v, locale) for k, v in msgspec.structs.asdict(value).items()}
        case list() | tuple():
            return [_in_words(each, locale) for each in value]
        case _:
            return value
