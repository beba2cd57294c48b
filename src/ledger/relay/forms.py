"""What commands and answers look like between two processes: MessagePack, of this version only.

Only what a generation leads to is carried: the rest is rare, and may bring statements along. A
message is encoded and decoded as a whole: what Python does for each command is what it costs.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ledger import errors
from ledger.batch import Outcome
from ledger.codec import decode_entry, encode_entry
from ledger.commands import (
    ReleaseGeneration,
    RequestGeneration,
    SettleGeneration,
    Submission,
)
from ledger.entry import Entry
from ledger.errors import CorruptLogError, LedgerError
from ledger.facts import FACT_TYPES, GenerationFailed, GenerationRequested, TokensConsumed

Result = Outcome | LedgerError
Message = bytes | bytearray | memoryview

_CARRIED = (RequestGeneration, SettleGeneration, ReleaseGeneration)


class _Carried(Submission, frozen=True, kw_only=True):
    """A submission that a hub takes, and nothing else: it is decoded as it is used."""

    command: RequestGeneration | SettleGeneration | ReleaseGeneration
    beside: tuple[()] = ()


class _Asked(msgspec.Struct, frozen=True, array_like=True):
    first: int  # the others are numbered from there
    submissions: list[_Carried]


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """An entry whose fact is one of the three that the carried commands lead to."""

    position: int
    account_id: str
    version: int
    at: datetime
    actor: str
    fact_id: UUID
    settled: int
    held: int
    key_id: UUID | None
    input_hash: UUID | None
    requested: GenerationRequested | None
    consumed: TokensConsumed | None
    failed: GenerationFailed | None


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    number: int
    entries: list[_Entry | bytes] = []  # as a row where the fact is another
    settled: int = 0
    held: int = 0
    replayed: bool = False
    error: str | None = None
    details: dict[str, Any] = {}


_ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, LedgerError)
}
_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode_asked = msgspec.msgpack.Decoder(_Asked).decode
_decode_answers = msgspec.msgpack.Decoder(list[_Answer]).decode


def _version() -> bytes:
    structs = [_Asked, _Answer, *FACT_TYPES.values()]
    told = [(each.__name__, msgspec.json.schema(each)) for each in structs]
    return hashlib.sha256(repr(told).encode()).digest()


VERSION = _version()
"""Of the forms: two processes that differ in it do not talk to each other."""


def can_carry(submission: Submission) -> bool:
    """Whether this is one of the commands that a hub takes."""
    return isinstance(submission.command, _CARRIED) and not submission.beside


def encode_commands(first: int, submissions: Sequence[Submission]) -> bytes:
    """One message, its commands numbered from `first`.

    Raises `UnicodeEncodeError` where one has half of a surrogate pair.
    """
    return _encode((first, submissions))


def decode_commands(message: Message) -> tuple[int, Sequence[Submission]]:
    """The number of the first, and all. Raises `msgspec.DecodeError`."""
    asked = _decode_asked(message)
    return asked.first, asked.submissions


def encode_answers(numbered: Sequence[tuple[int, Result]]) -> bytes:
    """One message."""
    return _encode([_answer(number, result) for number, result in numbered])


def decode_answers(message: Message) -> list[tuple[int, Result]]:
    """Raises `msgspec.DecodeError`."""
    return [(form.number, _result(form)) for form in _decode_answers(message)]


def _answer(number: int, result: Result) -> _Answer:
    if isinstance(result, LedgerError):
        return _Answer(number, error=type(result).__name__, details=vars(result))
    entries = [_entry(entry) for entry in result.entries]
    return _Answer(number, entries, result.settled, result.held, result.replayed)


def _entry(entry: Entry) -> _Entry | bytes:
    requested = consumed = failed = None
    match fact := entry.fact:
        case GenerationRequested():
            requested = fact
        case TokensConsumed():
            consumed = fact
        case GenerationFailed():
            failed = fact
        case _:
            return encode_entry(entry)
    return _Entry(
        entry.position,
        entry.account_id,
        entry.version,
        entry.at,
        entry.actor,
        entry.fact_id,
        entry.settled,
        entry.held,
        entry.key_id,
        entry.input_hash,
        requested,
        consumed,
        failed,
    )


def _result(form: _Answer) -> Result:
    try:
        if form.error is not None:
            return _ERRORS[form.error](**form.details)
        entries = tuple([_read(entry) for entry in form.entries])
    except (CorruptLogError, KeyError, TypeError) as error:
        raise msgspec.DecodeError(str(error)) from error
    return Outcome(entries, form.settled, form.held, form.replayed)


def _read(form: _Entry | bytes) -> Entry:
    if isinstance(form, bytes):
        return decode_entry(form)
    fact = form.requested or form.consumed or form.failed
    if fact is None:
        raise msgspec.DecodeError("an entry without a fact")
    return Entry(
        position=form.position,
        account_id=form.account_id,
        version=form.version,
        at=form.at,
        actor=form.actor,
        fact_id=form.fact_id,
        settled=form.settled,
        held=form.held,
        fact=fact,
        key_id=form.key_id,
        input_hash=form.input_hash,
    )
