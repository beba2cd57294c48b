"""The types of events as people ask for them: a fact's name, whatever its version."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

EventType = Literal[
    "AccountOpened",
    "MembershipChanged",
    "TokensGranted",
    "TokensRevoked",
    "GenerationRequested",
    "TokensConsumed",
    "GenerationFailed",
]
"""Every fact that the ledger knows, by the name of its class."""

EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)


def kind_of(event_type: EventType) -> str:
    """What stands before the version in the topics of that type."""
    return _KINDS[event_type]


def type_of(topic: str) -> str:
    """The type's name; also of a topic that a newer Mintage has written."""
    kind = topic.partition(":")[0]
    return _TYPES.get(kind) or "".join(word.capitalize() for word in kind.split("_"))


def _kind(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


_KINDS: Mapping[str, str] = MappingProxyType({name: _kind(name) for name in EVENT_TYPES})
_TYPES: Mapping[str, str] = MappingProxyType({kind: name for name, kind in _KINDS.items()})

COMMON = frozenset({_KINDS["GenerationRequested"], _KINDS["TokensConsumed"]})
"""Those that the partial indexes of the log leave out."""
