"""What is known of the request that is being answered: every line of the log tells it.

One dictionary in one context variable: structlog's own way, a variable for each thing that is
known, took longer than writing the line.
"""

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

_about: ContextVar[dict[str, Any]] = ContextVar("about")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def begin(request_id: str) -> dict[str, Any]:
    """From here on this is the request; what becomes known of it is found in what is returned."""
    about: dict[str, Any] = {"request_id": request_id}
    _about.set(about)
    return about


def note(**known: Any) -> None:
    """From here on this is known, too; also in threads that the request waits for."""
    if about := _about.get(None):
        about.update(known)


def tell_about(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor for structlog: adds what is known where the line does not say otherwise."""
    return {**_about.get(_NOTHING), **event}
