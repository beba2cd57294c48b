"""What commands and answers look like between two processes: MessagePack, of this version only.

Only what a generation leads to is carried: the rest is rare, and may bring statements along.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ledger import errors, facts
from ledger.batch import Outcome
from ledger.commands import ReleaseGeneration, RequestGeneration, SettleGeneration, Submission
from ledger.entry import Entry
from ledger.errors import LedgerError
from ledger.facts import GenerationFailed, GenerationRequested, TokensConsumed

Result = Outcome | LedgerError


class _Command(msgspec.Struct, frozen=True, array_like=True):
    number: int
    actor: str
    key_id: UUID | None
    input_hash: UUID | None
    request: RequestGeneration | None = None
    settle: SettleGeneration | None = None
    release: ReleaseGeneration | None = None


class _Entry(msgspec.Struct, frozen=True, array_like=True):
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
    requested: GenerationRequested | None = None
    consumed: TokensConsumed | None = None
    failed: GenerationFailed | None = None


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    number: int
    entries: list[_Entry]
    settled: int
    held: int
    replayed: bool
    error: str | None = None
    details: dict[str, Any] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode_commands = msgspec.msgpack.Decoder(list[_Command]).decode
_decode_answers = msgspec.msgpack.Decoder(list[_Answer]).decode


def _version() -> bytes:
    kinds = (_Command, _Entry, _Answer, RequestGeneration, SettleGeneration, ReleaseGeneration)
    structs = [*kinds, *(each for each in vars(facts).values() if isinstance(each, type))]
    told = [(each.__name__, getattr(each, "__annotations__", {})) for each in structs]
    return hashlib.sha256(repr(told).encode()).digest()


VERSION = _version()
"""Of the forms: two processes that differ in it do not talk to each other."""


def can_carry(submission: Submission) -> bool:
    """Whether this is one of the commands that a hub takes."""
    carried = RequestGeneration | SettleGeneration | ReleaseGeneration
    return isinstance(submission.command, carried) and not submission.beside


def encode_command(number: int, submission: Submission) -> msgspec.Raw:
    """Part of a message. Raises `UnicodeEncodeError` for half of a surrogate pair."""
    return msgspec.Raw(_encode(_command(number, submission)))


def together(commands: Sequence[msgspec.Raw]) -> bytes:
    """One message."""
    return _encode(commands)


def decode_commands(message: bytes) -> list[tuple[int, Submission]]:
    """Raises `msgspec.DecodeError`."""
    return [(each.number, _submission(each)) for each in _decode_commands(message)]


def encode_answers(numbered: Sequence[tuple[int, Result]]) -> bytes:
    """One message."""
    return _encode([_answer(number, result) for number, result in numbered])


def decode_answers(message: bytes) -> list[tuple[int, Result]]:
    """Raises `msgspec.DecodeError`."""
    return [(each.number, _result(each)) for each in _decode_answers(message)]


def _command(number: int, submission: Submission) -> _Command:
    common = (number, submission.actor, submission.key_id, submission.input_hash)
    match submission.command:
        case RequestGeneration() as command:
            return _Command(*common, request=command)
        case SettleGeneration() as command:
            return _Command(*common, settle=command)
        case ReleaseGeneration() as command:
            return _Command(*common, release=command)
    raise TypeError(type(submission.command))


def _submission(form: _Command) -> Submission:
    command = form.request or form.settle or form.release
    if command is None:
        raise msgspec.DecodeError("no command")
    return Submission(
        command=command, actor=form.actor, key_id=form.key_id, input_hash=form.input_hash
    )


def _answer(number: int, result: Result) -> _Answer:
    if isinstance(result, Outcome):
        entries = [_entry(entry) for entry in result.entries]
        return _Answer(number, entries, result.settled, result.held, result.replayed)
    return _Answer(number, [], 0, 0, False, type(result).__name__, vars(result))  # noqa: FBT003


def _entry(entry: Entry) -> _Entry:
    common = (
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
    )
    match entry.fact:
        case GenerationRequested() as fact:
            return _Entry(*common, requested=fact)
        case TokensConsumed() as fact:
            return _Entry(*common, consumed=fact)
        case GenerationFailed() as fact:
            return _Entry(*common, failed=fact)
    raise TypeError(type(entry.fact))


def _result(form: _Answer) -> Result:
    if form.error:
        kind = getattr(errors, form.error, LedgerError)
        error: LedgerError = kind(**form.details)
        return error
    entries = tuple(_entry_of(each) for each in form.entries)
    return Outcome(entries, form.settled, form.held, form.replayed)


def _entry_of(form: _Entry) -> Entry:
    fact = form.requested or form.consumed or form.failed
    if fact is None:
        raise msgspec.DecodeError("no fact")
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
