"""The views' rows as lines of text, and what stands in them.

PostgreSQL's COPY writes a row as one line, and the fold writes what it expects as the same line;
so that a row which is right costs one comparison of bytes, and only a wrong one is taken apart.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

NULL = r"\N"

_ESCAPES = {
    "\\": r"\\",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
}
_ESCAPING = str.maketrans(_ESCAPES)
_UNESCAPES = {escape[1]: plain for plain, escape in _ESCAPES.items()}


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A view's columns, the account first; rows of one account come in the order of `order`.

    `key` is what a row is known by; `place` is the second thing to know it by, should the key be
    what is wrong.
    """

    columns: tuple[str, ...]
    order: tuple[str, ...]
    key: tuple[str, ...]
    place: tuple[str, ...]


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "balances": Layout(
            columns=("account_id", "position", "version", "is_member", "settled", "held"),
            order=(),
            key=("account_id",),
            place=("position",),
        ),
        "transactions": Layout(
            columns=("account_id", "position", "type", "amount", "balance"),
            order=("position",),
            key=("position",),
            place=("account_id", "amount", "balance"),
        ),
        "generations": Layout(
            columns=("account_id", "position", "id", "outcome", "end_position"),
            order=("position",),
            key=("id",),
            place=("position",),
        ),
        "images": Layout(
            columns=("account_id", "position", "ordinal", "id", "title"),
            order=("position", "ordinal"),
            key=("id",),
            place=("position", "ordinal"),
        ),
    }
)
"""Written out: a view's new column must be thought of here too."""


def escape(text: str) -> str:
    """A text as COPY writes it."""
    return text.translate(_ESCAPING)


def unescape(value: bytes) -> str:
    """What COPY wrote, as the text that it was."""
    text = value.decode(errors="backslashreplace")
    if "\\" not in text:
        return text
    parts, at = [], 0
    while (found := text.find("\\", at)) >= 0:
        parts.append(text[at:found])
        following = text[found + 1 : found + 2]
        parts.append(_UNESCAPES.get(following, following))
        at = found + 2
    return "".join([*parts, text[at:]])


def cells(line: bytes) -> list[str | None]:
    """The values of a line."""
    return [
        None if cell == rb"\N" else unescape(cell) for cell in line.removesuffix(b"\n").split(b"\t")
    ]


def named(layout: Layout, line: bytes) -> dict[str, str | None]:
    """The values of a line, by column."""
    return dict(zip(layout.columns, cells(line), strict=True))


def values(row: Mapping[str, str | None], names: Sequence[str]) -> tuple[str | None, ...]:
    """Some of a row's values."""
    return tuple(row[name] for name in names)
