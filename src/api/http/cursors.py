"""Opaque cursors: where a page ended, in a form that nobody is tempted to build."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from api.problems.field_errors import invalid
from api.problems.refusals import InvalidInputError
from api.texts.i18n import msg

LIMIT_DEFAULT = 20
LIMIT_MAX = 100
CURSOR_CHARACTERS_MAX = 200
MARK_BYTES = 6
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
        description="`next_cursor` of the page before, asked for with the same filters; opaque.",
    ),
]


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Newest first. `next_cursor` is null on the last page."""

    items: list[Item]
    next_cursor: str | None


class Listing:
    """One list with its filters; what it gives as cursors is taken by it alone.

    A cursor of another list, or of the same with other filters, would pass over what stands there.
    """

    def __init__(self, name: str, /, **filters: Any) -> None:
        self._name = name
        self._filters = filters

    @cached_property
    def _mark(self) -> str:
        given = {key: value for key, value in self._filters.items() if value is not None}
        list_of = msgspec.json.encode((self._name, given), order="deterministic")
        return base64.b64encode(hashlib.sha256(list_of).digest()[:MARK_BYTES]).decode()

    def cursor(self, *places: int | str) -> str:
        """The cursor that stands for those places."""
        document = msgspec.json.encode((self._mark, places))
        return base64.urlsafe_b64encode(document).rstrip(b"=").decode()

    def places(self, cursor: str | None, kind: type[Row]) -> Row | None:
        """The places again, as the tuple type `kind`; None without a cursor.

        Raises `InvalidInputError` naming `cursor`.
        """
        if cursor is None:
            return None
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            document = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
            mark, rest = msgspec.json.decode(document, type=tuple[str, msgspec.Raw])
            places: Any = msgspec.json.decode(rest, type=kind)
        except (msgspec.MsgspecError, binascii.Error, UnicodeError):
            raise not_of_this_list() from None
        if mark != self._mark or not all(map(_fits, places)):
            raise not_of_this_list()
        return places  # type: ignore[no-any-return]

    def page(
        self,
        rows: Sequence[Row],
        limit: int,
        item: Callable[[Row], Item],
        place: Callable[[Row], tuple[int | str, ...]],
    ) -> Page[Item]:
        """The page of at most `limit` of `rows`, which were asked for with `limit + 1`."""
        kept = rows[:limit]
        more = len(rows) > limit
        return Page([item(row) for row in kept], self.cursor(*place(kept[-1])) if more else None)


def not_of_this_list() -> InvalidInputError:
    """What a cursor is refused with."""
    return invalid("cursor", msg("Is not a cursor of this list."))


def _fits(place: Any) -> bool:
    match place:
        case int():
            return 0 <= place <= _BIGINT_MAX
        case str():
            return "\0" not in place
        case _:
            return True
