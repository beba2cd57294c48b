"""Ids that make doing a thing twice the same as doing it once.

A fact's id is what may happen only once: a generation's request, its one ending, its one
refund, a reference's one grant. A key's id stands for a caller's idempotency key. Both are
128 bits, unique in the log; hashed ones are cut from SHA-256 and marked version 8 (RFC 9562).
"""

import hashlib
from collections.abc import Iterable
from uuid import UUID

from uuid_utils.compat import uuid7

from ledger.commands import (
    Command,
    GrantTokens,
    RefundGeneration,
    ReleaseGeneration,
    RequestGeneration,
    SettleGeneration,
)

_UNMARKED = ~(0xF << 76 | 0x3 << 62)
_MARKS = 0x8 << 76 | 0x2 << 62  # version and variant


def new_id() -> UUID:
    """A fresh UUIDv7: unique, and in the order of time."""
    return uuid7()


def hashed_id(*parts: bytes) -> UUID:
    """The UUIDv8 of the parts; each part's length counts, so no two lists share one."""
    told = b"".join([each for part in parts for each in (len(part).to_bytes(8), part)])
    return _version_8(int.from_bytes(hashlib.sha256(told).digest()[:16]))


def key_id(account_id: str, operation: str, key: str) -> UUID:
    """Stands for an idempotency key, which may hold an e-mail and so is never stored."""
    return hashed_id(b"key", account_id.encode(), operation.encode(), key.encode())


def input_hash(parts: Iterable[bytes]) -> UUID:
    """Stands for the canonical input that came with a key."""
    return hashed_id(b"input", *parts)


def ending_id(generation_id: UUID) -> UUID:
    """The id of the one fact that ends a generation: its own, marked version 8."""
    return _version_8(generation_id.int)


def refund_id(generation_id: UUID) -> UUID:
    """The id of the one fact that gives a generation's charge back."""
    return hashed_id(b"refund", generation_id.bytes)


def reference_id(account_id: str, reference: str) -> UUID:
    """The id of the one grant of a reference to an account."""
    # Half of a surrogate pair is refused with the fact; it must not raise here, before that.
    return hashed_id(b"reference", account_id.encode(), reference.encode(errors="surrogatepass"))


def fact_id(command: Command) -> UUID:
    """The id of the first fact that `command` leads to."""
    match command:
        case RequestGeneration():
            return command.generation_id
        case SettleGeneration() | ReleaseGeneration():
            return ending_id(command.generation_id)
        case RefundGeneration():
            return refund_id(command.generation_id)
        case GrantTokens(reference=str(reference)):
            return reference_id(command.account_id, reference)
        case _:
            return new_id()


def _version_8(value: int) -> UUID:
    return UUID(int=value & _UNMARKED | _MARKS)
