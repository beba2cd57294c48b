"""Ids that make doing a thing twice the same as doing it once."""

from uuid import UUID

import pytest

from ledger.commands import ChangeMembership, RefundGeneration, RevokeTokens
from ledger.identity import (
    ending_id,
    fact_id,
    hashed_id,
    input_hash,
    key_id,
    new_id,
    reference_id,
    refund_id,
)
from ledger_samples import ACCOUNT, FIRST, NOTE, SECOND, grant, opening, release, request, settle

# Stored for ever: the same input must give these in every later version.
FROZEN = {
    "key": (key_id("ann", "generations", "k-1"), "3a388a7d-654f-8c08-9963-67cca2f4eff3"),
    "input": (input_hash([b"a", b"b"]), "594868a0-abaa-83ab-b33e-df97be8bf1ec"),
    "reference": (reference_id("ann", "order 1"), "9f1cedfc-30d4-8f58-92d6-f5da82d8fbf2"),
    "refund": (refund_id(FIRST), "259dd655-37fc-8597-ae25-6ada56ccc6aa"),
    "ending": (ending_id(FIRST), "01930000-0000-8000-8000-000000000001"),
}


@pytest.mark.parametrize("name", FROZEN)
def test_ids_never_change(name: str) -> None:
    made, stored = FROZEN[name]
    assert str(made) == stored


def test_hashed_ids_are_marked_version_8() -> None:
    for made, _ in FROZEN.values():
        assert made.version == 8
        assert made.variant == "specified in RFC 4122"


def test_the_parts_of_a_hash_cannot_be_shifted() -> None:
    lists = [(), (b"",), (b"", b""), (b"ab",), (b"a", b"b"), (b"", b"ab"), (b"ab", b"")]
    assert len({hashed_id(*parts) for parts in lists}) == len(lists)
    assert key_id("a", "bc", "d") != key_id("ab", "c", "d") != key_id("abc", "", "d")
    assert key_id("ann", "grants", "k") != key_id("ann", "generations", "k")
    assert key_id("ann", "grants", "k") != key_id("bob", "grants", "k")


def test_what_may_happen_once_has_one_id() -> None:
    assert fact_id(request(1)) == FIRST
    assert fact_id(settle()) == fact_id(release()) == ending_id(FIRST)
    again = RefundGeneration(account_id=ACCOUNT, generation_id=FIRST, charged=1, note_id=new_id())
    other = RefundGeneration(account_id=ACCOUNT, generation_id=FIRST, charged=1, note_id=NOTE)
    assert fact_id(again) == fact_id(other) == refund_id(FIRST)
    assert fact_id(grant(1, reference="r")) == fact_id(grant(2, reference="r"))
    assert fact_id(grant(1, reference="r")) != fact_id(grant(1, "bob", reference="r"))
    assert len({FIRST, ending_id(FIRST), refund_id(FIRST), ending_id(SECOND)}) == 4


def test_what_may_happen_often_has_a_new_id_each_time() -> None:
    for command in (
        opening(),
        grant(1),
        RevokeTokens(account_id=ACCOUNT, amount=1, note_id=NOTE),
        ChangeMembership(account_id=ACCOUNT, is_member=True),
    ):
        assert fact_id(command) != fact_id(command)


def test_an_ending_differs_from_every_uuid7_in_its_version_alone() -> None:
    made = new_id()
    assert made.version == 7
    assert ending_id(made).int ^ made.int == 0xF << 76
    assert ending_id(UUID(int=made.int)) == ending_id(made)


def test_any_text_may_stand_in_a_reference() -> None:
    texts = ["", " ", "订单", "a\0b", "\ud83d", "x" * 10_000]
    assert len({reference_id("ann", text) for text in texts}) == len(texts)
