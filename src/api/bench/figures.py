"""What is made of the rounds' figures: medians, spreads, ratios of one round's own."""

import statistics
from collections.abc import Sequence
from typing import Any


def spread(measured: Sequence[float], name: str, *, digits: int | None = None) -> dict[str, Any]:
    """The median as `name`, the least and the most beside it."""
    return {
        name: round(statistics.median(measured), digits),
        f"{name}_min": round(min(measured), digits),
        f"{name}_max": round(max(measured), digits),
    }


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times theirs ours is: the median of the rounds' own ratios, never of two medians."""
    pairs = zip(ours, theirs, strict=True)
    return round(statistics.median(a / b for a, b in pairs), 3)
