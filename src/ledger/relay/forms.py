"""What commands and answers look like between two processes: MessagePack, of this version only.

Only what a generation leads to is carried: the rest is rare, and may bring statements along. A
command's kind goes with it, an entry as the row that the log would have of it.
"""

import hashlib
from collections.abc import Callable, Sequence
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
from ledger.errors import CorruptLogError, LedgerError
from ledger.facts import FACT_TYPES

Result = Outcome | LedgerError


class _Command(msgspec.Struct, frozen=True, array_like=True):
    number: int
    kind: str
    command: msgspec.Raw
    actor: str
    key_id: UUID | None
    input_hash: UUID | None
    terms: UUID | None


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    number: int
    entries: list[bytes] = []
    settled: int = 0
    held: int = 0
    replayed: bool = False
    error: str | None = None
    details: dict[str, Any] = {}


_CARRIED = (RequestGeneration, SettleGeneration, ReleaseGeneration)
_DECODERS: dict[str, Callable[[msgspec.Raw], Any]] = {
    kind.__name__: msgspec.msgpack.Decoder(kind).decode for kind in _CARRIED
}
_ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, LedgerError)
}
_encode = msgspec.msgpack.Encoder().encode
_decode_commands = msgspec.msgpack.Decoder(list[_Command]).decode
_decode_answers = msgspec.msgpack.Decoder(list[_Answer]).decode


def _version() -> bytes:
    structs = [_Command, _Answer, *_CARRIED, *FACT_TYPES.values()]
    told = [(each.__name__, msgspec.json.schema(each)) for each in structs]
    return hashlib.sha256(repr(told).encode()).digest()


VERSION = _version()
"""Of the forms: two processes that differ in it do not talk to each other."""


def can_carry(submission: Submission) -> bool:
    """Whether this is one of the commands that a hub takes."""
    return isinstance(submission.command, _CARRIED) and not submission.beside


def encode_command(number: int, submission: Submission) -> msgspec.Raw:
    """Part of a message. Raises `UnicodeEncodeError` for half of a surrogate pair."""
    command = submission.command
    form = _Command(
        number,
        type(command).__name__,
        msgspec.Raw(_encode(command)),
        submission.actor,
        submission.key_id,
        submission.input_hash,
        submission.terms,
    )
    return msgspec.Raw(_encode(form))


def together(commands: Sequence[msgspec.Raw]) -> bytes:
    """One message."""
    return _encode(commands)


def decode_commands(message: bytes) -> list[tuple[int, Submission]]:
    """Raises `msgspec.DecodeError`."""
    return [(form.number, _submission(form)) for form in _decode_commands(message)]


def encode_answers(numbered: Sequence[tuple[int, Result]]) -> bytes:
    """One message."""
    return _encode([_answer(number, result) for number, result in numbered])


def decode_answers(message: bytes) -> list[tuple[int, Result]]:
    """Raises `msgspec.DecodeError`."""
    return [(form.number, _result(form)) for form in _decode_answers(message)]


def _submission(form: _Command) -> Submission:
    decode = _DECODERS.get(form.kind)
    if decode is None:
        raise msgspec.DecodeError("a command of no kind that is carried")
    return Submission(
        command=decode(form.command),
        actor=form.actor,
        key_id=form.key_id,
        input_hash=form.input_hash,
        terms=form.terms,
    )


def _answer(number: int, result: Result) -> _Answer:
    if isinstance(result, LedgerError):
        return _Answer(number, error=type(result).__name__, details=vars(result))
    return _Answer(
        number,
        entries=[encode_entry(entry) for entry in result.entries],
        settled=result.settled,
        held=result.held,
        replayed=result.replayed,
    )


def _result(form: _Answer) -> Result:
    try:
        if form.error is not None:
            return _ERRORS[form.error](**form.details)
        entries = tuple(map(decode_entry, form.entries))
    except (CorruptLogError, KeyError, TypeError) as error:
        raise msgspec.DecodeError(str(error)) from error
    return Outcome(entries, form.settled, form.held, form.replayed)
