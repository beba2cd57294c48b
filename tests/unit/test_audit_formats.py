"""How events are written down, and what types of them there are."""

import csv
import io
import json

import msgspec
import pytest

from api.audit.formats import COLUMNS, Csv, Ndjson, cell
from ledger.facts import FACT_TYPES
from projections.audit.events import Event
from projections.audit.types import COMMON, EVENT_TYPES, kind_of, type_of


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t1",
        "\r1",
        "\n1",
        "  =1",
        "\u00a0=1",
        " \t -1",
        "\ufeff=1",
        "\u200b@x",
        "＝1+1",
        "＋1",
        "－1",
        "＠x",
        "　=1",
    ],
)
def test_what_a_spreadsheet_would_run_is_escaped(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "bob", "a=b", "demo-user-123", "key:1", '{"a": "=1"}', "梦", "'=1", " x", "12"]
)
def test_anything_else_is_left_as_it_is(text: str) -> None:
    assert cell(text) == text


def event(account_id: str, actor: str, data: object) -> Event:
    return Event(
        7,
        account_id,
        2,
        "TokensGranted",
        "2026-01-31T08:00:00.000000Z",
        actor,
        msgspec.Raw(msgspec.json.encode(data)),
    )


def test_a_csv_is_read_again_as_it_was_whatever_stands_in_it() -> None:
    form = Csv()
    data = {"title": 'a "quoted", one\nof two lines; 梦\\'}
    events = [event("-1+2", "=cmd", data), event("bob", "a,b", {})]
    text = (form.head() + form.lines(events) + form.tail(2)).decode()
    assert text.count("\r\n") == 3
    header, first, second = csv.reader(io.StringIO(text, newline=""))
    assert tuple(header) == COLUMNS
    assert first[:-1] == [
        "7",
        "'-1+2",
        "2",
        "TokensGranted",
        "2026-01-31T08:00:00.000000Z",
        "'=cmd",
    ]
    assert json.loads(first[-1]) == data
    assert second[5:] == ["a,b", "{}"]


def test_ndjson_ends_with_how_many_there_were() -> None:
    form = Ndjson()
    text = form.head() + form.lines([event("bob", "cli", {"a": "x\ny"})]) + form.tail(1)
    line, end = map(json.loads, text.decode().splitlines())
    assert line == {
        "position": 7,
        "account_id": "bob",
        "version": 2,
        "type": "TokensGranted",
        "at": "2026-01-31T08:00:00.000000Z",
        "actor": "cli",
        "data": {"a": "x\ny"},
    }
    assert end == {"end": True, "count": 1}


def test_the_types_are_the_ledgers_facts() -> None:
    assert set(EVENT_TYPES) == {kind.__name__ for kind in FACT_TYPES.values()}
    for topic, kind in FACT_TYPES.items():
        assert type_of(topic) == kind.__name__
        assert topic.partition(":")[0] in {kind_of(name) for name in EVENT_TYPES}
    assert {type_of(kind) for kind in COMMON} == {"GenerationRequested", "TokensConsumed"}


def test_a_type_of_a_newer_mintage_has_a_name_too() -> None:
    assert type_of("tokens_lent_out:3") == "TokensLentOut"
    assert type_of("tokens_granted:9") == "TokensGranted"
