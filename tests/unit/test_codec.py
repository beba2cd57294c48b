"""Rows of the log: written and read again, the frozen ones for ever."""

import itertools
import json
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from eventsourcing.persistence import JSONTranscoder
from hypothesis import given as examples
from hypothesis import strategies as st

import corpus
import plain_chain
from ledger.account import Account
from ledger.chain.canonical import genesis, link
from ledger.codec import EntryMapper, decode_entry, encode_entry, is_storable
from ledger.entry import Entry
from ledger.errors import CorruptLogError
from ledger.facts import (
    FACT_TYPES,
    AccountOpened,
    Fact,
    FailureReason,
    GenerationFailed,
    GenerationRequested,
    GrantReason,
    MembershipChanged,
    TokensConsumed,
    TokensGranted,
    TokensRevoked,
)
from ledger.snapshots import follow_all
from ledger_samples import (
    AT,
    ATTEMPT,
    FIRST,
    IMAGE,
    NOTE,
    REFERENCE,
    consumed,
    failed,
    prompt,
    requested,
)

FACTS: tuple[Fact, ...] = (
    AccountOpened(is_member=True),
    MembershipChanged(is_member=False),
    MembershipChanged(is_member=True, note_id=NOTE),
    TokensGranted(amount=1, reason="promo"),
    TokensGranted(amount=1, reason="purchase", reference="订单 1", note_id=NOTE),
    TokensGranted(amount=1, reason="refund", generation_id=FIRST, note_id=NOTE),
    TokensRevoked(amount=1, note_id=NOTE),
    requested(5),
    GenerationRequested(
        generation_id=FIRST, prompt=prompt(5), count=4, aspect_ratio="16:9", cost=20,
        reference=REFERENCE,
    ),
    consumed(5),
    TokensConsumed(generation_id=FIRST, cost=5, images=(IMAGE, IMAGE), attempts=(ATTEMPT,)),
    failed(5),
    GenerationFailed(
        generation_id=FIRST, cost=5, reason="timeout", retryable=True, attempts=(ATTEMPT,)
    ),
)  # fmt: skip


def entry(fact: Fact, **rest: Any) -> Entry:
    fields: dict[str, Any] = {
        "position": 7,
        "account_id": "ann",
        "version": 3,
        "at": AT,
        "actor": "key:1",
        "fact_id": FIRST,
        "settled": 10,
        "held": 5,
    }
    return Entry(fact=fact, **fields | rest)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_round_trip(fact: Fact) -> None:
    for written in (entry(fact), entry(fact, key_id=NOTE, input_hash=FIRST)):
        assert decode_entry(encode_entry(written)) == written
        mapper = EntryMapper(transcoder=JSONTranscoder())
        stored = mapper.to_stored_event(written)
        assert (stored.originator_id, stored.originator_version) == ("ann", 3)
        assert stored.topic == fact.TOPIC
        assert mapper.to_domain_event(stored) == written


def test_every_fact_is_tried() -> None:
    assert {type(fact) for fact in FACTS} == set(FACT_TYPES.values())


def test_the_corpus_is_frozen() -> None:
    assert {name: corpus.sha256(name) for name in corpus.FROZEN} == corpus.FROZEN
    assert {path.name for path in corpus.DATA.glob("ledger_rows_*")} == set(corpus.FROZEN)


def version_1() -> list[str]:
    return corpus.rows("ledger_rows_1.jsonl")


def test_frozen_rows_are_read_for_ever() -> None:
    """Rows as version 1 wrote them; a later version adds a file of its own."""
    entries = [decode_entry(row) for row in version_1()]
    assert {row.fact.TOPIC for row in entries} == {
        "account_opened:1",
        "membership_changed:1",
        "tokens_granted:1",
        "tokens_revoked:1",
        "generation_requested:1",
        "tokens_consumed:1",
        "generation_failed:1",
    }
    accounts = {name: Account(account_id=name) for name in ("ann", "bob_2-B")}
    follow_all(accounts, entries)
    ann = accounts["ann"]
    assert (ann.version, ann.settled, ann.held, ann.is_member) == (12, 107, 5, True)
    assert ann.holds == {UUID("01930000-0000-7000-8000-000000000003"): 5}
    bob = accounts["bob_2-B"]
    assert (bob.version, bob.settled, bob.held, bob.is_member) == (57, 1_000_000_263, 14, True)
    full = next(e.fact for e in entries if isinstance(e.fact, TokensConsumed))
    assert full.images[0].usage == {"prompt": 8, "total": 1290}
    assert full.images[0].response_id == "resp-1"
    assert full.attempts[0].outcome == "rate_limited"
    assert entries[3].at == datetime(2026, 1, 1, 0, 0, 3, 123456, tzinfo=UTC)


def test_frozen_rows_are_still_written_the_same() -> None:
    for row in itertools.chain.from_iterable(map(corpus.rows, corpus.FROZEN)):
        assert json.loads(encode_entry(decode_entry(row))) == json.loads(row)


def test_every_optional_field_is_there_and_is_not() -> None:
    """Of every fact and of what stands in it; else an old row may be read wrong unnoticed."""
    seen: dict[tuple[str, str], set[bool]] = {}
    words: dict[tuple[str, str], set[str]] = {}
    for name in corpus.FROZEN:
        for row in corpus.rows(name):
            note(decode_entry(row).fact, seen, words)
    assert {kind for kind, _ in seen} >= {"TokensGranted", "ImageRecord", "GenerationFailed"}
    assert {field for field, states in seen.items() if states != {True, False}} == set()
    assert words["TokensGranted", "reason"] == set(get_args(GrantReason))
    assert words["GenerationFailed", "reason"] == set(get_args(FailureReason))


def note(
    value: object,
    seen: dict[tuple[str, str], set[bool]],
    words: dict[tuple[str, str], set[str]],
) -> None:
    """Which optional fields of `value`, and of what it holds, are set; and what its texts say."""
    if isinstance(value, tuple):
        for each in value:
            note(each, seen, words)
    if not isinstance(value, msgspec.Struct):
        return
    for field in msgspec.structs.fields(value):
        name = (type(value).__name__, field.name)
        inner = getattr(value, field.name)
        if not field.required:
            seen.setdefault(name, set()).add(bool(inner))
        if isinstance(inner, str):
            words.setdefault(name, set()).add(inner)
        note(inner, seen, words)


@pytest.mark.parametrize("name", corpus.FROZEN)
def test_the_chain_of_the_frozen_rows_is_frozen(name: str) -> None:
    hashed = genesis(FIRST)
    for row in corpus.rows(name):
        hashed = link(hashed, plain_chain.row_bytes(plain_chain.from_json(row)))
    assert hashed.hex() == corpus.CHAINS[name]


def test_a_row_is_read_in_utc_whatever_its_session_showed() -> None:
    row = json.loads(encode_entry(entry(FACTS[0])))
    row["at"] = "2026-01-01T20:30:15.25+08:00"
    read = decode_entry(json.dumps(row))
    assert read.at == AT
    assert read.at.tzinfo is UTC


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"topic": "tokens_granted:2"}, "unknown topic tokens_granted:2"),
        ({"topic": ""}, "unknown topic"),
        ({"data": {}}, "missing required field"),
        ({"data": {"amount": "5", "reason": "promo"}}, "Expected `int`"),
        ({"data": {"amount": 5, "reason": "whim"}}, "Invalid enum value"),
        ({"data": None}, "Expected `object`"),
    ],
)
def test_a_bad_row_is_named(change: dict[str, Any], problem: str) -> None:
    row = json.loads(encode_entry(entry(TokensGranted(amount=5, reason="promo")))) | change
    with pytest.raises(CorruptLogError, match=problem) as raised:
        decode_entry(json.dumps(row))
    assert (raised.value.account_id, raised.value.version) == ("ann", 3)


NUL_TEXTS = [
    ("a\0b", False),
    ("\0", False),
    ("\\\0", False),
    ("\\\\\0", False),
    ("\\u0000", True),
    ("\\\\u0000", True),
    ("u0000", True),
    ("\u0001", True),
    ("", True),
]


@pytest.mark.parametrize(("text", "storable"), NUL_TEXTS)
def test_only_a_real_nul_cannot_be_stored(text: str, storable: bool) -> None:  # noqa: FBT001 - a table's column
    written = encode_entry(entry(TokensGranted(amount=1, reason="promo", reference=text)))
    assert is_storable(written) is storable


@examples(st.text(alphabet='\0\\u0a"', max_size=12))
def test_a_nul_is_found_wherever_it_stands(text: str) -> None:
    written = encode_entry(entry(TokensGranted(amount=1, reason="promo", reference=text)))
    assert is_storable(written) is ("\0" not in text)
