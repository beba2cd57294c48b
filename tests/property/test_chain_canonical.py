"""Canonical JSON: one form for each value of jsonb, and another for every other value."""

import json
import random
from datetime import UTC
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import plain_chain
from databases import Database
from ledger.chain.canonical import canonical_json


def _is_minus_zero(number: Decimal) -> bool:
    return number.is_zero() and number.is_signed()  # PostgreSQL's numbers know none


# What jsonb can hold: no NUL, no half of a pair; numbers as long as you like.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NUMBERS: SearchStrategy[Any] = (
    st.integers()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400])
    | st.decimals(allow_nan=False, allow_infinity=False).filter(
        lambda number: -300 < number.adjusted() < 300 and not _is_minus_zero(number)
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | TEXTS | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
SEEDS = st.integers(0, 2**32)


def written(value: Any, chance: random.Random) -> str:
    """The value as somebody else's JSON: members in any order, space and escapes anywhere."""
    space = chance.choice(["", " ", "\n\t"])
    match value:
        case dict():
            items = list(value.items())
            chance.shuffle(items)
            inside = ",".join(
                f"{space}{written(name, chance)}{space}:{written(inner, chance)}"
                for name, inner in items
            )
            return f"{{{inside}{space}}}"
        case list():
            return f"[{space}{f',{space}'.join(written(inner, chance) for inner in value)}]"
        case str():
            return json.dumps(value, ensure_ascii=chance.random() < 0.5)
        case Decimal():
            text = format(value, "f")
            return text if "." in text else text + ".0"
        case _:
            return json.dumps(value)


def read(document: bytes | str) -> Any:
    """Exactly what is said: an integer as such, and of other numbers every digit."""
    return json.loads(document, parse_float=lambda text: ("number", str(Decimal(text))))


@examples(VALUES, SEEDS)
def test_whatever_way_a_value_is_written_it_has_one_form(value: Any, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    first = written(value, chance)
    forms = {canonical_json(written(read_back(first), chance).encode()) for _ in range(3)}
    assert forms == {canonical_json(first.encode())}


def read_back(document: str) -> Any:
    return json.loads(document, parse_float=Decimal)


@examples(VALUES, SEEDS)
def test_the_value_can_be_had_back_so_no_two_share_a_form(value: Any, seed: int) -> None:
    document = written(value, random.Random(seed))  # noqa: S311 - to be repeated
    assert read(canonical_json(document.encode())) == read(document)
    assert canonical_json(canonical_json(document.encode())) == canonical_json(document.encode())


@examples(VALUES, VALUES)
def test_two_values_share_a_form_only_if_they_are_one(one: Any, other: Any) -> None:
    chance = random.Random(0)  # noqa: S311 - to be repeated
    first, second = written(one, chance), written(other, chance)
    same = canonical_json(first.encode()) == canonical_json(second.encode())
    assert same is (repr(_sorted(read(first))) == repr(_sorted(read(second))))


def _sorted(value: Any) -> Any:
    match value:
        case dict():
            return {name: _sorted(value[name]) for name in sorted(value)}
        case list():
            return [_sorted(inner) for inner in value]
        case _:
            return value


@examples(VALUES, SEEDS)
def test_it_is_what_the_definition_says(value: Any, seed: int) -> None:
    document = written(value, random.Random(seed))  # noqa: S311 - to be repeated
    expected = plain_chain.canonical(read_back(document)).encode()
    assert canonical_json(document.encode()) == expected


ROW = st.fixed_dictionaries(
    {
        "position": st.integers(1, 2**63 - 1),
        "account_id": TEXTS,
        "version": st.integers(1, 2**63 - 1),
        "topic": TEXTS,
        "at": st.datetimes(timezones=st.just(UTC)),
        "actor": TEXTS,
        "fact_id": st.uuids(),
        "key_id": st.none() | st.uuids() | st.just(UUID(int=0)),
        "input_hash": st.none() | st.uuids() | st.just(UUID(int=0)),
        "settled": st.integers(0, 2**63 - 1),
        "held": st.integers(-(2**63), 2**63 - 1),
        "data": VALUES.map(plain_chain.canonical),
    }
)


@examples(ROW, ROW, st.data())
def test_no_two_rows_share_their_bytes(one: Any, other: Any, data: st.DataObject) -> None:
    mixed = {name: data.draw(st.sampled_from([one[name], other[name]])) for name in one}
    assert (plain_chain.row_bytes(mixed) == plain_chain.row_bytes(one)) is (mixed == one)


@pytest.fixture
def connection(database: Database) -> Any:
    with psycopg.connect(database.url, autocommit=True) as connection:
        yield connection


def test_jsonb_keeps_what_the_form_tells_apart(connection: psycopg.Connection) -> None:
    @settings(database=None)
    @examples(VALUES, SEEDS)
    def through_the_database(value: Any, seed: int) -> None:
        document = written(value, random.Random(seed))  # noqa: S311 - to be repeated
        row = connection.execute("SELECT %s::jsonb::text", (document,)).fetchone()
        assert row is not None
        assert canonical_json(row[0].encode()) == canonical_json(document.encode())

    through_the_database()
