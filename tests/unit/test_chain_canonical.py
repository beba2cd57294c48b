"""Canonical JSON of values that try to be two things at once; frozen, since hashes stand on it."""

import pytest

from ledger.chain.canonical import canonical_json, genesis, link
from ledger_samples import FIRST

FROZEN = {
    b"1": b"1",
    b"1.0": b"1.0",
    b"1.00": b"1.00",
    b"-1": b"-1",
    b"9007199254740993": b"9007199254740993",
    b"18446744073709551616": b"18446744073709551616",
    b"-9223372036854775809": b"-9223372036854775809",
    b"0.0000001": b"1E-7",
    b"0.00000010": b"1.0E-7",
    b"0.1000000000000000055511151231257827": b"0.1000000000000000055511151231257827",
    b"true": b"true",
    b'"true"': b'"true"',
    b"null": b"null",
    b'""': b'""',
    b"[]": b"[]",
    b"{}": b"{}",
    b"[[], {}]": b"[[],{}]",
    b'{"b": 1, "a": {"d": null, "c": [2, 1]}}': b'{"a":{"c":[2,1],"d":null},"b":1}',
    # By UTF-8, not by UTF-16: U+FFFF before U+1F600.
    '{"\U0001f600": 1, "\uffff": 2, "é": 3, "z": 4, "": 5}'.encode(): (
        '{"":5,"z":4,"é":3,"\uffff":2,"\U0001f600":1}'.encode()
    ),
    rb'"\u0001\u001f\b\t\n\f\r\"\\\/\u007f\u2028\u00e9\ud83d\ude00"': (
        b'"' + rb"\u0001\u001f\b\t\n\f\r\"\\/" + "\x7f\u2028é\U0001f600".encode() + b'"'
    ),
    '"梦幻森林"'.encode(): '"梦幻森林"'.encode(),
}


@pytest.mark.parametrize("document", FROZEN)
def test_the_form_is_frozen(document: bytes) -> None:
    assert canonical_json(document) == FROZEN[document]


def test_each_of_them_has_a_form_of_its_own() -> None:
    assert len(set(FROZEN.values())) == len(FROZEN)


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"nan", b"[" * 100_000 + b"]" * 100_000, b"1" * 5_000, b'"\xff"', b"1 2"],
    ids=["empty", "cut", "not a number", "too deep", "too long", "not UTF-8", "two"],
)
def test_what_has_no_form_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's words are its own
        canonical_json(document)


def test_the_hashes_are_frozen() -> None:
    first = genesis(FIRST)
    assert first.hex() == "6fe6e73c205c3d9c785b853e79013b01f158908f922fcc337428ceab14604e73"
    after = link(first, b"row")
    assert after.hex() == "37e14bee0b03712e4554988071386b2026ad5fb03530286f6ddccde645f840ac"
