"""What commands and answers look like between two processes: MessagePack, of this version only.

Only what a generation leads to is carried: the rest is rare, and may bring statements along. A
message is encoded and decoded as a whole: what Python does for each command is what it costs.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

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


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    """An error, or an outcome of several entries, or of a fact that is rare: those are rows."""

    number: int
    error: str | None
    details: dict[str, Any] = {}
    rows: list[bytes] = []
    settled: int = 0
    held: int = 0
    replayed: bool = False


class _Answers(msgspec.Struct, frozen=True, array_like=True):
    """A list for each fact that carried commands lead to: decoded as it is handed on."""

    requested: list[tuple[int, Outcome[GenerationRequested]]]
    consumed: list[tuple[int, Outcome[TokensConsumed]]]
    failed: list[tuple[int, Outcome[GenerationFailed]]]
    others: list[_Answer]


_ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, LedgerError)
}
_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode_asked = msgspec.msgpack.Decoder(_Asked).decode
_decode_answers = msgspec.msgpack.Decoder(_Answers).decode


def _version() -> bytes:
    structs = [_Asked, _Answers, *FACT_TYPES.values()]
    told = [(each.__name__, msgspec.json.schema(each)) for each in structs]
    return hashlib.sha256(repr(told).encode()).digest()


VERSION = _version()
"""Of the forms: two processes that differ in it do not talk to each other."""


def can_carry(submission: Submission) -> bool:
    """Whether this is one of the commands that a hub takes."""
    return isinstance(submission.command, _CARRIED) and not submission.beside


UNSAYABLE = (UnicodeEncodeError, OverflowError)
"""What encoding raises for half of a surrogate pair, or for a number that no column would take."""


def can_say(submission: Submission) -> bool:
    """Whether it can be encoded."""
    try:
        _encode(submission)
    except UNSAYABLE:
        return False
    return True


def encode_commands(first: int, submissions: Sequence[Submission]) -> bytes:
    """One message, its commands numbered from `first`. Raises what is `UNSAYABLE`."""
    return _encode((first, submissions))


def decode_commands(message: Message) -> tuple[int, Sequence[Submission]]:
    """The number of the first, and all. Raises `msgspec.DecodeError`."""
    asked = _decode_asked(message)
    return asked.first, asked.submissions


def encode_answers(numbered: Sequence[tuple[int, Result]]) -> bytes:
    """One message."""
    by_fact: dict[type, list[tuple[int, Result]]] = {
        GenerationRequested: [],
        TokensConsumed: [],
        GenerationFailed: [],
    }
    others: list[_Answer] = []
    for each in numbered:
        number, result = each
        if isinstance(result, LedgerError):
            others.append(_Answer(number, type(result).__name__, vars(result)))
        elif (
            len(result.entries) == 1
            and (alike := by_fact.get(type(result.entries[0].fact))) is not None
        ):
            alike.append(each)
        else:
            rows = [encode_entry(entry) for entry in result.entries]
            others.append(
                _Answer(number, None, {}, rows, result.settled, result.held, result.replayed)
            )
    return _encode((*by_fact.values(), others))


def decode_answers(message: Message) -> list[tuple[int, Result]]:
    """In no certain order. Raises `msgspec.DecodeError`."""
    answers = _decode_answers(message)
    results: list[tuple[int, Result]] = [(each.number, _result(each)) for each in answers.others]
    return [*results, *answers.requested, *answers.consumed, *answers.failed]


def _result(form: _Answer) -> Result:
    try:
        if form.error is not None:
            return _ERRORS[form.error](**form.details)
        entries = tuple([decode_entry(row) for row in form.rows])
    except (CorruptLogError, KeyError, TypeError) as error:
        raise msgspec.DecodeError(str(error)) from error
    return Outcome(entries, form.settled, form.held, form.replayed)
