r"""The seal: the chain's head, signed, for keeping where the log's owner cannot reach it.

Whoever owns the tables can rewrite the log and recompute its chain; the hash that a seal says was
there is then not there any more. A seal is one JSON document; what is signed (Ed25519) is
"mintage seal 1\n" and then the document without its signature, as canonical JSON.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta
from psycopg.rows import tuple_row

from ledger.chain import canonical
from ledger.chain.blocks import ChainEnd, chain_end
from ledger.chain.canonical import HASH_BYTES
from ledger.chain.errors import (
    ChainCutError,
    LogCutError,
    OtherLogError,
    RewrittenError,
    SealMalformedError,
    SealSignatureError,
)

DOCUMENT_BYTES_MAX = 4096

_DOMAIN = b"mintage seal 1\n"
_Hex32 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{128}$")]
_LINK = f"""
SELECT block, last_position,
       substr(links, ((%(position)s - first_position) * {HASH_BYTES} + 1)::integer, {HASH_BYTES})
FROM ledger_chain WHERE last_position >= %(position)s ORDER BY last_position LIMIT 1"""  # noqa: S608 - constants


class Seal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the head was: after `position` the running hash was `hash`; bytes are in hexadecimal."""

    mintage_seal: Literal[1] = 1
    log: UUID
    block: Annotated[int, Meta(ge=0)]
    position: Annotated[int, Meta(ge=0)]
    hash: _Hex32
    at: Annotated[datetime, Meta(tz=True)]
    public_key: _Hex32
    signature: _Hex64


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The log contains the sealed head. `authentic`: and a key that the caller knew signed it.

    Without that only integrity is shown: whoever had the document in hand could have signed a
    head of their own making with a key of their own. `remade`: over the same rows, but the sealed
    position does not end the sealed block, so the chain is not the one of then.
    """

    seal: Seal
    authentic: bool
    remade: bool


def sign(head: ChainEnd, key: Ed25519PrivateKey, *, at: datetime | None = None) -> Seal:
    """Seal where the chain ends; see `ledger.chain.blocks.catch_up` for the log's own head."""
    unsigned = Seal(
        log=head.log_id,
        block=head.block,
        position=head.position,
        hash=head.hash.hex(),
        at=(at or datetime.now(UTC)).astimezone(UTC),
        public_key=key.public_key().public_bytes_raw().hex(),
        signature="",
    )
    return msgspec.structs.replace(unsigned, signature=key.sign(_signed(unsigned)).hex())


def encode_seal(seal: Seal) -> bytes:
    """The document, in one line."""
    return msgspec.json.encode(seal)


def decode_seal(document: bytes) -> Seal:
    """Read a document. Raises `SealMalformedError`."""
    if len(document) > DOCUMENT_BYTES_MAX:
        raise SealMalformedError("the seal is no seal: it is too long")
    if not document.strip():
        raise SealMalformedError("the seal is empty")
    try:
        return msgspec.json.decode(document, type=Seal)
    except msgspec.ValidationError as error:
        raise SealMalformedError(f"the seal is none of ours: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SealMalformedError("the seal is no JSON document, or not a whole one") from None


def check_seal(
    connection: psycopg.Connection[Any],
    document: bytes,
    public_key: Ed25519PublicKey | None = None,
) -> Proof:
    """Prove that the chain still contains the sealed head, signed by `public_key`.

    Without a key the seal's own is used, and the proof is not `authentic`. This is two look-ups;
    that the rows lead to the chain is `ledger.chain.checking.check`'s to show, and has to be shown
    too, or the log proves nothing. Raises the `SealError` that says why there is no proof.
    """
    seal = decode_seal(document)
    _check_signature(seal, public_key)
    at = chain_end(connection)
    if seal.log != at.log_id:
        raise OtherLogError(seal.log, at.log_id)
    if seal.position > at.head:
        raise LogCutError(seal.position, at.head)
    if seal.position > at.position:
        raise ChainCutError(seal.position, at.position)
    found = _link(connection, seal.position, at.log_id)
    if found.link != bytes.fromhex(seal.hash):
        raise RewrittenError(seal.position)
    same = (found.block, found.last_position) == (seal.block, seal.position)
    return Proof(seal=seal, authentic=public_key is not None, remade=not same)


def _check_signature(seal: Seal, public_key: Ed25519PublicKey | None) -> None:
    named = bytes.fromhex(seal.public_key)
    if public_key is not None and public_key.public_bytes_raw() != named:
        raise SealSignatureError("the seal was signed with another key than the one given")
    try:
        Ed25519PublicKey.from_public_bytes(named).verify(
            bytes.fromhex(seal.signature), _signed(seal)
        )
    except InvalidSignature:
        raise SealSignatureError(
            "the seal's signature does not fit: it was changed, or not signed with its key"
        ) from None


def _signed(seal: Seal) -> bytes:
    document = msgspec.to_builtins(seal)
    del document["signature"]
    return _DOMAIN + canonical.canonical_json(msgspec.json.encode(document))


class _Link(NamedTuple):
    block: int
    last_position: int
    link: bytes


def _link(connection: psycopg.Connection[Any], position: int, log_id: UUID) -> _Link:
    """The running hash after a position, and the block that it stands in."""
    if position == 0:
        return _Link(0, 0, canonical.genesis(log_id))
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_LINK.encode(), {"position": position}).fetchone()
    return _Link(row[0], row[1], bytes(row[2])) if row else _Link(0, 0, b"")
