"""Between entries and the rows of `ledger_events`: a row is read as one JSON document."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, StoredEvent

from ledger.entry import Entry
from ledger.errors import CorruptLogError
from ledger.facts import FACT_TYPES, Fact


class _Row(msgspec.Struct, frozen=True):
    position: int
    account_id: str
    version: int
    topic: str
    at: datetime
    actor: str
    fact_id: UUID
    key_id: UUID | None
    input_hash: UUID | None
    settled: int
    held: int
    data: msgspec.Raw


# After an even number of backslashes: an odd one more makes it six plain characters.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_encode = msgspec.json.Encoder().encode
encode_fact: Callable[[Fact], bytes] = _encode
"""The fact as the JSON that stands in `data`."""
_decode_row = msgspec.json.Decoder(_Row).decode

_Old = TypeVar("_Old", bound=msgspec.Struct)

DECODERS: dict[str, Callable[[msgspec.Raw], Fact]] = {
    topic: msgspec.json.Decoder(kind).decode for topic, kind in FACT_TYPES.items()
}
"""How each topic is read. One that is not written any more stays, with a decoder that lifts it to
the latest version (`lifting`); the view `ledger_facts` lifts it alike for those who read by SQL."""


def lifting(old: type[_Old], lift: Callable[[_Old], Fact]) -> Callable[[msgspec.Raw], Fact]:
    """A decoder for a topic of the past: `old` is how it was written, `lift` makes it of today."""
    decode = msgspec.json.Decoder(old).decode
    return lambda data: lift(decode(data))


def encode_entry(entry: Entry) -> bytes:
    """The row of `entry` as a JSON object."""
    return _encode(
        _Row(
            entry.position,
            entry.account_id,
            entry.version,
            entry.fact.TOPIC,
            entry.at,
            entry.actor,
            entry.fact_id,
            entry.key_id,
            entry.input_hash,
            entry.settled,
            entry.held,
            msgspec.Raw(_encode(entry.fact)),
        )
    )


def decode_entry(document: bytes | str) -> Entry:
    """The entry of a row as JSON. Raises `CorruptLogError` on an unknown topic or a bad fact."""
    row = _decode_row(document)
    try:
        fact = DECODERS[row.topic](row.data)
    except KeyError:
        problem = f"unknown topic {row.topic}"
        raise CorruptLogError(row.account_id, row.version, problem) from None
    except msgspec.DecodeError as error:
        raise CorruptLogError(row.account_id, row.version, str(error)) from error
    return Entry(
        position=row.position,
        account_id=row.account_id,
        version=row.version,
        at=row.at.astimezone(UTC),  # a row shows it in its session's time zone
        actor=row.actor,
        fact_id=row.fact_id,
        key_id=row.key_id,
        input_hash=row.input_hash,
        settled=row.settled,
        held=row.held,
        fact=fact,
    )


def is_storable(document: bytes) -> bool:
    """Whether jsonb takes it: a NUL character would sink the whole batch."""
    return b"\\u0000" not in document or _NUL.search(document) is None


class EntryMapper(Mapper[str]):
    """The library's mapper: its `state` is the whole row, since `vars()` knows no structs."""

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """The row of an `Entry`."""
        entry = cast("Entry", domain_event)
        return StoredEvent(
            originator_id=entry.account_id,
            originator_version=entry.version,
            topic=entry.fact.TOPIC,
            state=encode_entry(entry),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """The `Entry` of a row."""
        return decode_entry(stored_event.state)
