r"""What is hashed: a row's canonical bytes, and the running hash over them.

The bytes of a row are its columns in this order, each with its length before it (4 bytes,
big-endian, two's complement; -1 and nothing after it for NULL), so that nothing can be shifted
from one to the next:

    position    8 bytes, big-endian, two's complement
    account_id  UTF-8
    version     as position
    topic       UTF-8
    at          as position: microseconds since 2000-01-01T00:00:00Z
    actor       UTF-8
    fact_id     16 bytes, as RFC 9562 orders them; so are key_id and input_hash, where not NULL
    key_id
    input_hash
    settled     as position; so is held
    held
    data        canonical JSON

Canonical JSON is UTF-8 without white space; the members of an object are in the order of their
names' UTF-8 bytes; a text escapes the quotation mark, the reverse solidus and what lies below
U+0020 (short where JSON has it: \b \t \n \f \r, else \u00xx in lower case) and nothing else;
an integer is its decimal digits; a number with a fraction or an exponent keeps every digit, written
as General Decimal Arithmetic's to-scientific-string, so 1, 1.0 and 1.00 are three values, as they
are to jsonb. It is made from the decoded value, since jsonb keeps no text of its own and its output
may change between versions of PostgreSQL; no class of a fact is involved, so it needs no old code.

The running hash after a position is SHA-256(the one before ‖ the row's bytes); before position 1
it is SHA-256("mintage chain 1\n" ‖ the log's id, 16 bytes). It does not depend on the blocks.
"""

import hashlib
from decimal import Decimal
from uuid import UUID

import msgspec

HASH_BYTES = 32

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


def canonical_json(document: bytes) -> bytes:
    """The one form of a JSON value.

    Raises `ValueError` where it is no JSON, nested a thousand deep or more, or holds an integer of
    more than 4,300 digits.
    """
    try:
        return _encode(_decode(document))
    except RecursionError:
        raise ValueError("nested too deep") from None


def row_bytes(head: bytes, document: bytes) -> bytes:
    """The canonical bytes of a row: `head` is that of all columns but `data`, as they stand."""
    data = canonical_json(document)
    return b"%b%b%b" % (head, len(data).to_bytes(4), data)


def genesis(log_id: UUID) -> bytes:
    """The running hash before position 1."""
    return hashlib.sha256(b"mintage chain 1\n" + log_id.bytes).digest()


def link(previous: bytes, row: bytes) -> bytes:
    """The running hash after a row, given the one before it."""
    return hashlib.sha256(previous + row).digest()
