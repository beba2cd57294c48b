"""The log's filters against a plain one: every combination, both orders, pages of any size."""

import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest

from databases import Database, TestServer
from histories import History, read_log
from ledger.commands import GrantTokens, OpenAccount, Submission
from ledger.entry import Entry
from ledger.identity import new_id, refund_id
from ledger.ledger import Ledger
from ledger.log import select_head
from ledger_running import running
from ledger_writer import writing
from plain_filter import generation_of, plain
from projections.audit import events
from projections.audit.events import count_in, read_slice, spans
from projections.audit.places import last_before, last_version, version_at
from projections.audit.types import EVENT_TYPES
from projections.audit.walks import Filter, walk

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def logged(database_server: TestServer) -> Iterator[Database]:
    with database_server.database() as database:
        with running(database.url) as ledger:
            History(ledger, seed=7).write(300)
            for actor in ("admin:one", "key:two"):
                grant = GrantTokens(account_id="account-1", amount=5, reason="promo")
                ledger.record(Submission(command=grant, actor=actor))
        yield database


@pytest.fixture(scope="module")
def entries(logged: Database) -> list[Entry]:
    found = read_log(logged.url)
    assert len(found) > 150
    assert {type(entry.fact).__name__ for entry in found} == set(EVENT_TYPES)
    return found


@pytest.fixture(scope="module")
def connection(logged: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(logged.url, autocommit=True) as connection:
        yield connection


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "WINDOWS", {"position": 20, "version": 7})
    monkeypatch.setattr(events, "COUNT_WINDOW", 30)


def everything(
    connection: psycopg.Connection[Any], asked: Filter, *, descending: bool, limit: int
) -> list[int]:
    """The positions that paging to the end gives, the walk made anew for each page."""
    found: list[int] = []
    place = None
    for _ in range(1_000):
        part = read_slice(
            connection,
            walk(connection, asked),
            place=place,
            descending=descending,
            limit=limit,
        )
        assert len(part.events) <= limit
        found += [event.position for event in part.events]
        place = part.next_place
        if place is None:
            return found
    raise AssertionError("paging does not end")


def some_filters(entries: list[Entry], number: int) -> Iterator[Filter]:
    """Every combination of what may be given, each with values that are there and some not."""
    chance = random.Random(11)  # noqa: S311 - to be repeated, not to be secret
    middle = [entry for entry in entries if generation_of(entry)]
    for combination in itertools.product((False, True), repeat=8):
        for _ in range(number):
            entry, other = chance.choice(middle), chance.choice(entries)
            times = sorted(chance.choice(entries).at for _ in range(2))
            positions = sorted(chance.randrange(len(entries) + 5) for _ in range(2))
            values: dict[str, Any] = {
                "account": chance.choice((entry.account_id, other.account_id, "nobody")),
                "type": chance.choice((type(entry.fact).__name__, *EVENT_TYPES)),
                "generation": chance.choice((generation_of(entry), generation_of(entry), new_id())),
                "actor": chance.choice((entry.actor, "cli", "admin:one", "nobody")),
                "since": times[0] - timedelta(microseconds=chance.randrange(2)),
                "until": times[1] + timedelta(microseconds=chance.randrange(2)),
                "after": positions[0],
                "before": positions[1],
            }
            given = zip(values.items(), combination, strict=True)
            yield Filter(**{name: value for (name, value), is_given in given if is_given})


def test_every_combination_of_filters_in_both_orders(
    connection: psycopg.Connection[Any], entries: list[Entry]
) -> None:
    answers = 0
    for asked in some_filters(entries, 4):
        expected = plain(entries, asked)
        answers += len(expected)
        up = everything(connection, asked, descending=False, limit=9)
        assert up == expected, asked
        down = everything(connection, asked, descending=True, limit=9)
        assert down == expected[::-1], asked
        whole = walk(connection, asked, upto=select_head(connection))
        counted = sum(count_in(connection, whole, span) for span in spans(whole))
        assert counted == len(expected), asked
    assert answers > 2_000


@pytest.mark.parametrize("limit", [1, 2, 10_000])
def test_pages_of_any_size(
    connection: psycopg.Connection[Any], entries: list[Entry], limit: int
) -> None:
    for asked in (Filter(), Filter(account="account-1"), Filter(type="TokensConsumed")):
        for descending in (False, True):
            found = everything(connection, asked, descending=descending, limit=limit)
            expected = plain(entries, asked)
            assert found == (expected[::-1] if descending else expected)


def test_an_event_is_told_as_it_stands_there(
    connection: psycopg.Connection[Any], entries: list[Entry]
) -> None:
    part = read_slice(connection, walk(connection, Filter()), limit=1_000)
    rows = connection.execute(
        "SELECT position, account_id, version, at, actor, data::text FROM ledger_events"
        " ORDER BY position"
    ).fetchall()
    for event, entry, row in zip(part.events, entries, rows, strict=True):
        told = (event.position, event.account_id, event.version, event.actor, bytes(event.data))
        assert event.type == type(entry.fact).__name__
        assert event.at.endswith("Z")
        assert datetime.fromisoformat(event.at) == entry.at
        assert told == (row[0], row[1], row[2], row[4], row[5].encode())


def test_a_generation_is_its_own_and_no_other_of_nearly_the_same_id(
    connection: psycopg.Connection[Any], entries: list[Entry]
) -> None:
    generation = next(found for entry in entries if (found := generation_of(entry)))
    for version in range(1, 9):
        twin = UUID(int=generation.int & ~(0xF << 76) | version << 76)
        of_twin = everything(connection, Filter(generation=twin), descending=False, limit=9)
        assert bool(of_twin) == (twin == generation)
    no_generation = Filter(generation=refund_id(generation))
    assert everything(connection, no_generation, descending=False, limit=9) == []


def test_halving_agrees_with_looking_at_everything(
    connection: psycopg.Connection[Any], entries: list[Entry]
) -> None:
    assert select_head(connection) == len(entries)
    times = {entry.at + timedelta(microseconds=d) for entry in entries for d in (-1, 0, 1)}
    for time in {*times, EPOCH, datetime(9999, 12, 31, tzinfo=UTC)}:
        assert last_before(connection, time) == sum(entry.at < time for entry in entries)
    for account in ("account-1", "account-2", "nobody"):
        mine = [entry for entry in entries if entry.account_id == account]
        assert last_version(connection, account) == len(mine)
        for position in range(0, len(entries) + 2, 3):
            counted = sum(entry.position <= position for entry in mine)
            assert version_at(connection, account, position) == counted


def test_an_empty_log_has_no_pages(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        for asked in (Filter(), Filter(account="bob"), Filter(actor="cli"), Filter(since=EPOCH)):
            for descending in (False, True):
                found = everything(connection, asked, descending=descending, limit=5)
                assert found == []
        assert last_before(connection, datetime.now(UTC)) == 0


def test_paging_yields_each_event_once_while_writers_append(database: Database) -> None:
    with writing(database.url, processes=2, threads=2, pause_seconds=0.005) as writers:
        with psycopg.connect(database.url, autocommit=True) as connection:
            for asked in (Filter(), Filter(account="w0-0"), Filter(actor="cli")):
                for descending in (False, True):
                    began = select_head(connection)
                    found = everything(connection, asked, descending=descending, limit=40)
                    expected = plain(read_log(database.url), asked)
                    assert len(found) == len(set(found))
                    assert found == sorted(found, reverse=descending)
                    seen = {position for position in found if position <= began}
                    assert seen == {position for position in expected if position <= began}
        writers.stop()


def test_no_combination_looks_at_more_than_it_may(database: Database) -> None:
    """By the rows and disk pages that each takes where its answer lies far away, or nowhere."""
    with running(database.url) as ledger:
        _open(ledger, "hot")
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        _fill(owner, 60_000)
        owner.execute("VACUUM ANALYZE ledger_events")
    with psycopg.connect(database.url, autocommit=True) as connection:
        for account, kind, actor in itertools.product(
            (None, "hot", "other", "nobody"),
            (None, *EVENT_TYPES),
            (None, "worker:1", "cli", "nobody"),
        ):
            asked: Any = {"account": account, "type": kind, "actor": actor}
            bounds: list[Any] = [{}, {"after": 30_000}, {"before": 30_000}]
            for descending, more in itertools.product((False, True), bounds):
                cost = _looked_at(connection, Filter(**asked, **more), descending=descending)
                assert cost.rows <= 100, (asked, more, descending, cost)
                assert cost.pages <= 60, (asked, more, descending, cost)


class Cost(NamedTuple):
    """What a page's plan takes from the log: rows, those thrown away included, and disk pages."""

    rows: float
    pages: int


def _looked_at(connection: psycopg.Connection[Any], asked: Filter, *, descending: bool) -> Cost:
    found = walk(connection, asked)
    planned: list[Any] = []

    class Explaining(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
            explained = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) " + query
            plain_cursor = psycopg.Cursor(connection)
            plan = plain_cursor.execute(explained, params, **more).fetchone()
            assert plan is not None
            planned.append(plan[0][0]["Plan"])
            return super().execute(query, params, **more)

    connection.cursor_factory = Explaining
    try:
        read_slice(connection, found, descending=descending, limit=20)
    finally:
        connection.cursor_factory = psycopg.Cursor
    rows = max(map(_rows, planned), default=0)
    return Cost(rows, sum(p["Shared Hit Blocks"] + p["Shared Read Blocks"] for p in planned))


def _rows(node: dict[str, Any]) -> float:
    thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    mine = node["Actual Rows"] * node["Actual Loops"] + thrown
    return float(max([mine, *map(_rows, node.get("Plans", []))]))


def _open(ledger: Ledger, account_id: str) -> None:
    opening = OpenAccount(account_id=account_id, is_member=True, tokens=100)
    ledger.record(Submission(command=opening, actor="cli"))


def _fill(owner: psycopg.Connection[Any], rows: int) -> None:
    """Requests of one long account, failures of another: what is asked for is nowhere near."""
    owner.execute(
        """
        INSERT INTO ledger_events (position, account_id, version, topic, at, actor, fact_id,
                                   settled, held, data)
        SELECT 2 + n, CASE WHEN n %% 3 = 0 THEN 'other' ELSE 'hot' END,
               CASE WHEN n %% 3 = 0 THEN n / 3 ELSE 2 + n - n / 3 END,
               CASE WHEN n %% 3 = 0 THEN 'generation_failed:1' ELSE 'generation_requested:1' END,
               now() + n * interval '1 second', 'worker:' || n / 20, gen_random_uuid(), 100, 5, '{}'
        FROM generate_series(1, %s) AS n""",
        (rows,),
    )
