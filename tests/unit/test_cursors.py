"""A cursor goes with one list and its filters, and stands for what it was made of."""

import base64
from datetime import datetime
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.cursors import CURSOR_CHARACTERS_MAX, Listing
from api.problems.refusals import InvalidInputError

LISTINGS = [
    Listing("one"),
    Listing("two"),
    Listing("one", account="a"),
    Listing("one", account="b"),
    Listing("one", reader="a"),
    Listing("one", account="a", reader="a"),
    Listing("one", account="1"),
    Listing("one", account=1),
]


@given(st.integers(0, 2**63 - 1), st.text(max_size=40).filter(lambda text: "\0" not in text))
def test_the_places_come_back(position: int, text: str) -> None:
    for listing in LISTINGS:
        cursor = listing.cursor(position, text)
        assert listing.places(cursor, tuple[int, str]) == (position, text)


def test_the_longest_cursor_is_taken() -> None:
    listing = Listing("audit_accounts", q="x" * 100)
    at = datetime.fromisoformat("2026-11-28T09:26:04.123456+00:00")
    cursor = listing.cursor(at.isoformat(), "x" * 64)
    assert len(cursor) <= CURSOR_CHARACTERS_MAX
    assert listing.places(cursor, tuple[datetime, str]) == (at, "x" * 64)


def test_no_list_takes_the_cursor_of_another() -> None:
    for one, other in permutations(LISTINGS, 2):
        with pytest.raises(InvalidInputError) as caught:
            other.places(one.cursor(7), tuple[int])
        assert [problem.field for problem in caught.value.fields] == ["cursor"]


def test_a_filter_that_is_not_given_and_the_order_of_them_make_no_difference() -> None:
    cursor = Listing("list", a="x", b=1).cursor(7)
    assert Listing("list", b=1, c=None, a="x").places(cursor, tuple[int]) == (7,)
    assert Listing("list").places(None, tuple[int]) is None


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        (tuple[int], (-1,)),
        (tuple[int], (2**63,)),
        (tuple[int], ("7",)),
        (tuple[int], (7, 8)),
        (tuple[int], (True,)),
        (tuple[UUID], ("nonsense",)),
        (tuple[str], ("a\0",)),
    ],
)
def test_places_that_no_row_has_are_refused(kind: Any, places: tuple[Any, ...]) -> None:
    listing = Listing("list")
    with pytest.raises(InvalidInputError):
        listing.places(listing.cursor(*places), kind)
    assert listing.places(listing.cursor(str(uuid4())), tuple[UUID])


@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda data: data.decode("latin-1")))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        Listing("list").places(text, tuple[int])


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_other_document_is_refused(document: Any) -> None:
    text = base64.urlsafe_b64encode(msgspec.json.encode(document)).decode()
    with pytest.raises(InvalidInputError):
        Listing("list").places(text, tuple[int])
