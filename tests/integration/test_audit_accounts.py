"""Long accounts: what is asked of one with tens of thousands of events touches a few rows."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import histories
from databases import Database
from ledger import snapshots
from ledger.commands import (
    ChangeMembership,
    GrantTokens,
    OpenAccount,
    RefundGeneration,
    RequestGeneration,
)
from ledger.identity import new_id
from ledger.ledger import Ledger
from projections.audit import holds
from projections.audit.balances import standing_at
from projections.audit.holds import holds_at
from projections.audit.story import story_of
from projections.audit.timeline import movements, timeline

Connection = psycopg.Connection[Any]

PAIRS = 15_000
"""Of a request and its charge, at every other place; in between stand those of other accounts."""

# The same as imported: long before now, one event a second.
_LONG = """
INSERT INTO ledger_events
    (position, account_id, version, topic, at, actor, fact_id, settled, held, data)
SELECT n, account_id, row_number() OVER (PARTITION BY account_id ORDER BY n),
       topic, '2026-01-01'::timestamptz + n * interval '1 second', 'import', fact_id,
       settled, held, data
FROM (
    SELECT a AS n, account_id, 'account_opened:1' AS topic, gen_random_uuid() AS fact_id,
           0 AS settled, 0 AS held, '{"is_member": true}'::jsonb AS data
    FROM unnest(ARRAY['long', 'other']) WITH ORDINALITY AS opened (account_id, a)
    UNION ALL
    SELECT a + 2, account_id, 'tokens_granted:1', gen_random_uuid(), 1000000, 0,
           '{"amount": 1000000, "reason": "purchase"}'
    FROM unnest(ARRAY['long', 'other']) WITH ORDINALITY AS granted (account_id, a)
    UNION ALL
    SELECT p * 4 + place, account_id, topic,
           overlay(md5(account_id || p) placing kind from 13 for 1)::uuid,
           settled, held, fact || jsonb_build_object(
               'generation_id', overlay(md5(account_id || p) placing '7' from 13 for 1)::uuid)
    FROM generate_series(1, %(pairs)s) AS p,
    LATERAL (VALUES
        (1, 'long', 'generation_requested:1', '7', 1000000 - (p - 1) * 5, 5),
        (3, 'long', 'tokens_consumed:1', '8', 1000000 - p * 5, 0),
        (2, 'other', 'generation_requested:1', '7', 1000000 - (p - 1) * 5, 5),
        (4, 'other', 'tokens_consumed:1', '8', 1000000 - p * 5, 0)
    ) AS e (place, account_id, topic, kind, settled, held),
    LATERAL (SELECT CASE kind WHEN '7' THEN '{"cost": 5, "count": 1, "aspect_ratio": "1:1",
        "prompt": {"id": "p", "title": "t", "version": 1, "token_cost": 5}}'::jsonb
        ELSE '{"cost": 5, "images": []}' END AS fact) AS f
) AS rows ORDER BY n"""


@pytest.fixture
def long(database: Database) -> Iterator[Connection]:
    """A connection to a log with the accounts `long` and `other`, of 30,002 events each."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute(_LONG.encode(), {"pairs": PAIRS})
        owner.execute("VACUUM ANALYZE ledger_events")
    with psycopg.connect(database.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    with Ledger(database.url) as ledger:
        yield ledger


def rows_read(connection: Connection, ask: Callable[[], object]) -> int:
    """How many rows of the log are read to answer, by whatever plan; never by a scan of it."""
    before = _read(connection)
    for _ in range(10):  # a statement that is prepared gets another plan after five
        ask()
    after = _read(connection)
    assert after[0] == before[0], "the log was scanned"
    return (after[1] - before[1]) // 10


def _read(connection: Connection) -> tuple[int, int]:
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT pg_stat_clear_snapshot()")
    row = connection.execute(
        "SELECT seq_scan, seq_tup_read + idx_tup_fetch"
        " FROM pg_stat_user_tables WHERE relname = 'ledger_events'"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_whatever_is_asked_of_a_long_account_reads_a_few_rows(long: Connection) -> None:
    middle = 4 * (PAIRS // 2) + 1
    then = standing_at(long, "long", position=middle)
    assert (then.settled, then.held) == (1_000_000 - (PAIRS // 2 - 1) * 5, 5)
    assert standing_at(long, "long", at=then.at) == then
    halvings = 16  # of 30,002 versions
    for ask in (
        lambda: standing_at(long, "long", position=middle),
        lambda: standing_at(long, "long", at=then.at),
        lambda: standing_at(long, "long"),
    ):
        assert rows_read(long, ask) <= halvings + 6
    assert [hold.cost for hold in holds_at(long, then).listed] == [5]
    assert rows_read(long, lambda: holds_at(long, then)) <= 64
    page = timeline(long, "long", before=then.version, limit=20)
    assert len(page) == 20
    # Each line with the one before it, and its request.
    assert rows_read(long, lambda: timeline(long, "long", before=then.version, limit=20)) <= 60
    assert rows_read(long, lambda: movements(long, "long", version=then.version, limit=10)) <= 60
    generation_id = page[0].generation_id
    assert generation_id
    assert rows_read(long, lambda: story_of(long, generation_id)) <= 8


def test_a_hold_from_long_ago_is_found_without_reading_back_to_it(
    database: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=False, tokens=10_000))
    old = histories.request("a", cost=7)
    histories.record(ledger, old)
    places = []
    for _ in range(600):
        asked = histories.request("a", cost=1)
        histories.record(ledger, asked)
        places.append(histories.settle(ledger, asked).position)
    monkeypatch.setattr(holds, "EVENTS_MAX", 100)
    with psycopg.connect(database.url, autocommit=True) as connection:
        for position in (places[0], places[300], places[-1]):
            standing = standing_at(connection, "a", position=position)
            found = holds_at(connection, standing)
            assert [hold.generation_id for hold in found.listed] == [old.generation_id]
            assert found.complete
        # Once it has ended, the snapshots forget it: what is not found is admitted.
        histories.settle(ledger, old)
        for _ in range(500):
            histories.record(ledger, GrantTokens(account_id="a", amount=1, reason="promo"))
        standing = standing_at(connection, "a", position=places[-1])
        assert standing.held == 7
        assert holds_at(connection, standing) == holds.Holds((), complete=False)
        monkeypatch.setattr(holds, "EVENTS_MAX", 20_000)
        assert [h.cost for h in holds_at(connection, standing).listed] == [7]


def test_a_hold_of_the_snapshot_that_has_ended_since_is_none(
    database: Database, ledger: Ledger
) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=False, tokens=1_000))
    old, new = histories.request("a", cost=7), histories.request("a", cost=7)
    histories.record(ledger, old)
    for _ in range(500):
        histories.record(ledger, GrantTokens(account_id="a", amount=1, reason="promo"))
    with psycopg.connect(database.url, autocommit=True) as connection:
        snapshot = snapshots.last(connection, "a")
        assert snapshot
        assert list(snapshot.holds) == [old.generation_id]
        histories.settle(ledger, old)
        histories.record(ledger, new)
        found = holds_at(connection, standing_at(connection, "a"))
    assert [hold.generation_id for hold in found.listed] == [new.generation_id]
    assert found.complete


def test_no_more_holds_are_listed_than_the_bound(
    database: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=False, tokens=100))
    asked = [histories.request("a", cost=2) for _ in range(5)]
    for each in asked:
        histories.record(ledger, each)
    monkeypatch.setattr(holds, "LISTED_MAX", 3)
    with psycopg.connect(database.url, autocommit=True) as connection:
        found = holds_at(connection, standing_at(connection, "a"))
    assert not found.complete
    newest = [each.generation_id for each in reversed(asked)][:3]
    assert [hold.generation_id for hold in found.listed] == newest


def test_membership_is_as_of_then(database: Database, ledger: Ledger) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=1))
    for is_member in (False, True):
        histories.record(ledger, ChangeMembership(account_id="a", is_member=is_member))
    with psycopg.connect(database.url, autocommit=True) as connection:
        told = [standing_at(connection, "a", position=n).is_member for n in range(1, 5)]
    assert told == [True, True, False, True]


def test_a_story_has_the_request_the_ending_and_the_refund(
    database: Database, ledger: Ledger
) -> None:
    opened = histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=100))
    asked = histories.request("a", cost=4, count=2)
    histories.record(ledger, asked)
    with psycopg.connect(database.url, autocommit=True) as connection:
        story = story_of(connection, asked.generation_id)
        assert story
        assert (story.outcome, story.charged, story.refunded) == ("open", 0, 0)
        assert [line.type for line in story.events] == ["GenerationRequested"]
        ending = histories.settle(ledger, asked)
        histories.record(
            ledger,
            RefundGeneration(
                account_id="a", generation_id=asked.generation_id, charged=8, note_id=new_id()
            ),
        )
        story = story_of(connection, asked.generation_id)
        assert story
        assert (story.outcome, story.charged, story.refunded) == ("succeeded", 8, 8)
        types = ["GenerationRequested", "TokensConsumed", "TokensGranted"]
        assert [line.type for line in story.events] == types
        assert [(line.amount, line.held_change) for line in story.events] == [
            (0, 8),
            (-8, -8),
            (8, 0),
        ]
        assert {line.title for line in story.events} == {asked.prompt.title}
        assert len(story.images) == 2
        # Neither another fact's id nor the ending's own is a generation.
        for other in (opened.fact_id, ending.fact_id, new_id()):
            assert story_of(connection, other) is None


def test_notes_are_shown_of_their_own_account_only(database: Database, ledger: Ledger) -> None:
    note = new_id()
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=0))
    histories.record(
        ledger, GrantTokens(account_id="a", amount=1, reason="adjustment", note_id=note)
    )
    with psycopg.connect(database.url, autocommit=True) as connection:
        assert timeline(connection, "a", limit=1)[0].note is None
        connection.execute(
            "INSERT INTO notes (id, account_id, actor, text) VALUES (%s, 'b', 'cli', 'x')", (note,)
        )
        assert timeline(connection, "a", limit=1)[0].note is None
        connection.execute("UPDATE notes SET account_id = 'a'")
        assert timeline(connection, "a", limit=1)[0].note == "x"


def test_a_free_generation_holds_nothing(database: Database, ledger: Ledger) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=5))
    free: RequestGeneration = histories.request("a", cost=0)
    histories.record(ledger, free)
    paid = histories.request("a", cost=3)
    histories.record(ledger, paid)
    with psycopg.connect(database.url, autocommit=True) as connection:
        found = holds_at(connection, standing_at(connection, "a"))
    assert [hold.generation_id for hold in found.listed] == [paid.generation_id]
    assert found.complete
