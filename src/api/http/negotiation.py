"""Which of the forms that an answer has the caller wants: `Accept`, as RFC 9110 weighs it."""

from collections.abc import Sequence
from typing import Any

from litestar import Request
from litestar.datastructures.headers import MediaTypeHeader

ACCEPT_CHARACTERS_MAX = 1_000


def best_match(request: Request[Any, Any, Any], offered: Sequence[str]) -> str | None:
    """The type that is wanted most, the first of equals; None where none is acceptable.

    The most specific range that fits a type says how much it is wanted, and `q=0` not at all.
    """
    given = ",".join(request.headers.getall("Accept", []))[:ACCEPT_CHARACTERS_MAX]
    ranges = [MediaTypeHeader(each) for each in given.split(",") if each.strip()]
    if not ranges:
        return offered[0]
    best = max(offered, key=lambda name: _wanted(MediaTypeHeader(name), ranges))
    return best if _wanted(MediaTypeHeader(best), ranges) > 0 else None


def quality(value: str) -> float:
    """A weight of 0 to 1; what is no number is no wish."""
    try:
        number = float(value)
    except ValueError:
        return 0.0
    return min(number, 1.0) if number > 0 else 0.0


def _wanted(offered: MediaTypeHeader, ranges: Sequence[MediaTypeHeader]) -> float:
    fitting = [each for each in ranges if offered.match(each)]
    specific = max(fitting, key=_specificity, default=None)
    return 0.0 if specific is None else quality(specific.params.get("q", "1"))


def _specificity(range_: MediaTypeHeader) -> tuple[bool, bool, int]:
    return range_.maintype != "*", range_.subtype != "*", len(range_.params)
