"""Opaque cursors: where a page ended, in a form that nobody is tempted to build."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from api.problems.field_errors import invalid
from api.texts.i18n import msg

LIMIT_DEFAULT = 20
LIMIT_MAX = 100
CURSOR_CHARACTERS_MAX = 200
_BIGINT_MAX = 2**63 - 1

Row = TypeVar("Row")
Item = TypeVar("Item")

LimitParameter = Annotated[
    int, QueryParameter(ge=1, le=LIMIT_MAX, description="How many items; 20 unless told.")
]
CursorParameter = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=CURSOR_CHARACTERS_MAX,
        description="`next_cursor` of the page before; opaque.",
    ),
]


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Newest first. `next_cursor` is null on the last page."""

    items: list[Item]
    next_cursor: str | None


def encode(*places: int | str) -> str:
    """The cursor that stands for those places."""
    return base64.urlsafe_b64encode(msgspec.json.encode(places)).rstrip(b"=").decode()


def decode(cursor: str, kind: type[Row]) -> Row:
    """The places again, as the tuple type `kind`. Raises `InvalidInputError` naming `cursor`."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        document = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        places: Any = msgspec.json.decode(document, type=kind)
    except (msgspec.MsgspecError, binascii.Error, UnicodeError):
        raise invalid("cursor", msg("Is not a cursor of this list.")) from None
    if any(isinstance(p, int) and not 0 <= p <= _BIGINT_MAX for p in places) or any(
        isinstance(p, str) and "\0" in p for p in places
    ):
        raise invalid("cursor", msg("Is not a cursor of this list."))
    return places  # type: ignore[no-any-return]


def page(
    rows: Sequence[Row],
    limit: int,
    item: Callable[[Row], Item],
    place: Callable[[Row], tuple[int | str, ...]],
) -> Page[Item]:
    """The page of at most `limit` of `rows`, which were asked for with `limit + 1`."""
    kept = rows[:limit]
    more = len(rows) > limit
    return Page([item(row) for row in kept], encode(*place(kept[-1])) if more else None)
