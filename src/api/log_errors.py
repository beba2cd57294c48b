"""How an error reads in the log: where it came from and what it is, and nothing of anybody's data.

No frame's variables, since they hold addresses, notes and keys; and of a driver's error its class
and first message only, since its details quote rows.
"""

import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import psycopg

CAUSES_MAX = 10


def format_error(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: `exc_info` becomes `exception`, as text."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else None
    if isinstance(given, tuple):
        error = given[1]
    elif given and error is None:
        error = sys.exc_info()[1]
    if error is not None:
        event["exception"] = text_of(error)
    return event


def text_of(error: BaseException) -> str:
    """The error and what led to it, the first cause first."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < CAUSES_MAX:
        frames = "".join(traceback.format_tb(current.__traceback__))
        parts.append(
            f"{frames}{type(current).__module__}.{type(current).__qualname__}{_message(current)}"
        )
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    return "\nwhich led to:\n".join(reversed(parts))


def _message(error: BaseException) -> str:
    if isinstance(error, psycopg.Error):
        return f": {error.diag.message_primary}" if error.diag.message_primary else ""
    if isinstance(error.__cause__, psycopg.Error):
        return ""  # most likely the driver's own words once more
    return f": {error}"
