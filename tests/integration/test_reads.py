import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg_pool import ConnectionPool

import histories
import plain_views
from databases import Database
from ledger.commands import GrantTokens, OpenAccount, ReleaseGeneration
from ledger.facts import StoredReference, TokensConsumed
from ledger.identity import new_id
from ledger.ledger import Ledger
from projections import images, level, reads
from projections.advance import advance
from projections.errors import ViewsBehindError
from projections.failures import failures
from projections.images import ImageRow, get_image, images_of, list_images
from projections.level import at_level, lag
from projections.projector import Projector
from projections.reads import list_generations, list_transactions

Connection = psycopg.Connection[Any]
Row = TypeVar("Row")

CALLERS = 200


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    with Ledger(database.url) as ledger:
        yield ledger


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with psycopg.connect(database.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def pool(database: Database) -> Iterator[ConnectionPool[Connection]]:
    with ConnectionPool(database.url, min_size=1, max_size=10, open=True) as pool:
        yield pool


@pytest.fixture
def seed() -> int:
    seed = random.SystemRandom().randrange(2**32)
    print(f"history of seed {seed}")
    return seed


def open_account(ledger: Ledger, account_id: str = "a", tokens: int = 10_000) -> None:
    histories.record(ledger, OpenAccount(account_id=account_id, is_member=True, tokens=tokens))


def charge(ledger: Ledger, account_id: str = "a", title: str = "梦幻森林", count: int = 1) -> UUID:
    asked = histories.request(account_id, title=title, count=count)
    histories.record(ledger, asked)
    histories.settle(ledger, asked)
    return asked.generation_id


def pages(page: Callable[..., list[Row]], end: Callable[[Row], Any]) -> list[Row]:
    """Every row, page by page."""
    rows: list[Row] = []
    before = None
    while found := page(before=before):
        rows += found
        before = end(found[-1])
    return rows


def told(row: msgspec.Struct) -> dict[str, Any]:
    """All that a row says."""
    return {
        name: msgspec.structs.asdict(value) if isinstance(value, StoredReference) else value
        for name, value in msgspec.structs.asdict(row).items()
    }


def told_image(row: ImageRow) -> dict[str, Any]:
    """The same of an image, with what it has in common with others of its charge."""
    said = msgspec.structs.asdict(row.record) | msgspec.structs.asdict(row.charge)
    del said["response_id"], said["usage"]
    at = said.pop("at")
    return said | {"ordinal": row.ordinal, "favorite": row.favorite, "created_at": at}


def test_pages_hold_the_account_s_rows_newest_first(
    ledger: Ledger, connection: Connection, database: Database, seed: int
) -> None:
    histories.History(ledger, seed, accounts=3).write(300)
    advance(connection)
    tables = plain_views.shown(histories.read_log(database.url))
    for account_id in ("account-0", "account-1", "account-2"):
        expected = {
            name: [row for row in reversed(rows) if row["account_id"] == account_id]
            for name, rows in tables.items()
        }
        lines = pages(
            partial(list_transactions, connection, account_id, limit=3), attrgetter("position")
        )
        assert [told(row) for row in lines] == expected["transactions"]
        generations = pages(
            partial(list_generations, connection, account_id, limit=2), attrgetter("position")
        )
        assert [told(row) for row in generations] == expected["generations"]
        images = pages(
            partial(list_images, connection, account_id, limit=3),
            attrgetter("place"),
        )
        assert [told_image(row) | {"account_id": account_id} for row in images] == [
            r | {"favorite": False} for r in expected["images"]
        ]
        of = images_of(connection, generations)
        assert list(of) == [row.id for row in generations]
        assert images_of(connection, generations * 2) == of
        ascending = sorted(images, key=attrgetter("place"))
        for generation_id, found in of.items():
            assert found == [row for row in ascending if row.charge.generation_id == generation_id]


def test_a_page_stays_right_while_newer_rows_arrive(ledger: Ledger, connection: Connection) -> None:
    open_account(ledger)
    asked = [charge(ledger) for _ in range(4)]
    advance(connection)
    first = list_generations(connection, "a", limit=2)
    charge(ledger)
    advance(connection)
    second = list_generations(connection, "a", before=first[-1].position, limit=2)
    assert [row.id for row in first + second] == asked[::-1]


def test_rows_tell_what_happened(ledger: Ledger, connection: Connection) -> None:
    open_account(ledger)
    generation_id = charge(ledger, title="星空夜景", count=2)
    entry = ledger.ending(generation_id)
    assert entry
    assert isinstance(entry.fact, TokensConsumed)
    connection.execute("SET TimeZone = 'Asia/Shanghai'")
    advance(connection)
    line, welcome = list_transactions(connection, "a", limit=10)
    assert (line.type, line.amount, line.balance) == ("token_consumption", -10, 9_990)
    assert (line.title, line.generation_id) == ("星空夜景", generation_id)
    assert (line.position, line.id, line.reason) == (entry.position, entry.fact_id, "generation")
    assert line.created_at == entry.at
    assert line.created_at.utcoffset() == timedelta(0)
    assert (welcome.type, welcome.amount, welcome.title) == ("token_grant", 10_000, None)
    (generation,) = list_generations(connection, "a", limit=10)
    assert (generation.outcome, generation.end_position) == ("succeeded", entry.position)
    second, first = list_images(connection, "a", limit=10)
    assert (first.record, second.record) == entry.fact.images
    assert (first.ordinal, second.ordinal, first.charge.title) == (1, 2, "星空夜景")
    assert get_image(connection, "a", first.record.id) == first
    assert get_image(connection, "b", first.record.id) is None
    assert get_image(connection, "a", new_id()) is None
    assert images_of(connection, [generation]) == {generation_id: [first, second]}
    assert images_of(connection, []) == {}


def test_transactions_by_type(ledger: Ledger, connection: Connection) -> None:
    open_account(ledger)
    grant = GrantTokens(account_id="a", amount=7, reason="purchase")
    histories.record(ledger, grant)
    charge(ledger)
    advance(connection)
    (line,) = list_transactions(connection, "a", type="token_purchase", limit=10)
    assert line.amount == 7
    assert list_transactions(connection, "a", type="token_refund", limit=10) == []


def test_a_free_generation_is_a_line_too(ledger: Ledger, connection: Connection) -> None:
    open_account(ledger, tokens=0)
    asked = histories.request("a", cost=0)
    histories.record(ledger, asked)
    histories.settle(ledger, asked)
    advance(connection)
    (line,) = list_transactions(connection, "a", limit=10)
    assert (line.type, line.amount, line.balance) == ("token_consumption", 0, 0)


def test_generations_by_status(ledger: Ledger, connection: Connection) -> None:
    open_account(ledger)
    succeeded = charge(ledger)
    ids: dict[Any, UUID] = {"succeeded": succeeded}
    for status, reason in (("failed", "blocked"), ("canceled", "canceled")):
        asked = histories.request("a")
        histories.record(ledger, asked)
        release = ReleaseGeneration(
            account_id="a",
            generation_id=asked.generation_id,
            reason="blocked" if reason == "blocked" else "canceled",
            retryable=False,
        )
        histories.record(ledger, release)
        ids[status] = asked.generation_id
    for status in ("queued", "processing"):
        asked = histories.request("a")
        histories.record(ledger, asked)
        ids[status] = asked.generation_id
    connection.execute(
        "INSERT INTO generation_leases (generation_id, account_id, attempt, worker, lease_until)"
        " VALUES (%s, 'a', 1, 'w', now())",
        [ids["processing"]],
    )
    advance(connection)
    for status, generation_id in ids.items():
        (row,) = list_generations(connection, "a", status=status, limit=10)
        assert row.id == generation_id
    assert len(list_generations(connection, "a", limit=10)) == len(ids)


@pytest.mark.parametrize(
    ("q", "titles"),
    [
        ("森", ["梦幻森林"]),
        ("CITY", ["Future City"]),
        ("ärg", ["100% Ärger"]),
        ("%", ["100% Ärger"]),
        ("_", [r"a_b\c"]),
        ("\\", [r"a_b\c"]),
        ("a%c", []),
        ("", list(reversed(histories.TITLES))),
    ],
)
def test_images_by_part_of_the_title(
    ledger: Ledger, connection: Connection, q: str, titles: list[str]
) -> None:
    open_account(ledger)
    for title in histories.TITLES:
        charge(ledger, title=title)
    advance(connection)
    found = list_images(connection, "a", q=q, limit=10)
    assert [row.charge.title for row in found] == (titles or []), q


def test_images_that_are_favorites(ledger: Ledger, connection: Connection) -> None:
    open_account(ledger)
    open_account(ledger, "b")
    charge(ledger, count=3)
    advance(connection)
    images = list_images(connection, "a", limit=10)
    assert not any(row.favorite for row in images)
    # Another account's liking says nothing here.
    connection.execute(
        "INSERT INTO favorites (account_id, image_id) VALUES ('a', %s), ('b', %s)",
        [images[1].record.id, images[2].record.id],
    )

    def ids(rows: list[ImageRow]) -> list[UUID]:
        return [row.record.id for row in rows]

    marked = list_images(connection, "a", limit=10)
    assert [row.favorite for row in marked] == [False, True, False]
    assert ids(list_images(connection, "a", favorite=True, limit=10)) == [images[1].record.id]
    assert ids(list_images(connection, "a", favorite=False, limit=10)) == [
        images[0].record.id,
        images[2].record.id,
    ]
    found = get_image(connection, "a", images[1].record.id)
    assert found
    assert found.favorite


@pytest.mark.parametrize("limit", [0, -1, 1002])
def test_a_page_is_bounded(connection: Connection, limit: int) -> None:
    with pytest.raises(ValueError, match=r"limit must lie in 1\.\.1001"):
        list_images(connection, "a", limit=limit)


FILL = """
INSERT INTO ledger_events SELECT n, 'account-' || n % 100, n / 100 + 1, 'tokens_granted:1', now(),
    'a', gen_random_uuid(), NULL, NULL, 1, 0, '{}' FROM generate_series(1, 20000) AS n;
INSERT INTO transactions SELECT position, account_id, 'token_grant', 1, 1 FROM ledger_events;
INSERT INTO generations SELECT fact_id, account_id, position,
    CASE WHEN position % 50 > 0 THEN 'succeeded' END, position FROM ledger_events;
INSERT INTO images SELECT gen_random_uuid(), account_id, position, 1, 't' || position
    FROM generations;
INSERT INTO favorites SELECT account_id, id FROM images WHERE position % 7 = 0;
INSERT INTO generation_leases SELECT id, account_id, 1, 'w', now() FROM generations
    WHERE outcome IS NULL AND position % 3 = 0;
"""


def test_every_read_goes_by_an_index(database: Database) -> None:
    with psycopg.connect(database.owner_url) as owner:
        owner.execute(FILL.encode())
        tables = ("ledger_events", "transactions", "generations", "images", "favorites")
        for table in tables:
            owner.execute(f"ANALYZE {table}".encode())
        page = {"account_id": "account-7", "before": 15_000, "limit": 21}
        image = {"account_id": "account-7", "position": 15_000, "ordinal": 1, "limit": 21}
        (ids,) = (
            owner.execute("SELECT array_agg(id) FROM images WHERE position = 7").fetchone() or ()
        )
        cases: list[tuple[bytes, dict[str, Any], str]] = [
            (reads._TRANSACTIONS, page | {"type": kind}, "transactions_pkey")
            for kind in (None, "token_grant")
        ]
        cases += [
            (reads._GENERATIONS, page | {"status": status}, "generations_account_id_position_idx")
            for status in (None, "succeeded", "queued", "processing")
        ]
        cases += [
            (
                images._FILTERED_PAGE,
                image | {"favorite": favorite, "title": title},
                # A few favorites are found sooner from their own side.
                "favorites_pkey" if favorite else "images_account_id_position_idx",
            )
            for favorite in (None, True, False)
            for title in (None, "%7%")
        ]
        cases += [
            (images._BY_ID, {"account_id": "account-7", "ids": ids}, "images_pkey"),
            (
                images._BY_CHARGE,
                {"accounts": ["account-7"], "charges": [15_000]},
                "images_account_id_position_idx",
            ),
        ]
        for statement, parameters, index in cases:
            rows = owner.execute(b"EXPLAIN " + statement, parameters)
            plan = "\n".join(row[0] for row in rows)
            assert index in plan, plan
            for table in tables:
                assert f"Seq Scan on {table}" not in plan, plan


def test_a_page_is_planned_for_its_account(ledger: Ledger, connection: Connection) -> None:
    """A plan for any account would read all of a long one for each page."""
    open_account(ledger)
    charge(ledger)
    advance(connection)
    for _ in range(10):  # psycopg prepares what comes for the sixth time, PostgreSQL plans it anew
        list_transactions(connection, "a", limit=1)
        list_generations(connection, "a", limit=1)
        list_images(connection, "a", limit=1)
    prepared = connection.execute("SELECT statement FROM pg_prepared_statements").fetchall()
    assert not [text for (text,) in prepared if "AS found" in text]


def write_then_list(ledger: Ledger, pool: ConnectionPool[Connection], number: int) -> None:
    """Write; what is listed afterwards must hold it, and the one before."""
    account_id = f"a-{number % 20}"
    for _ in range(2):
        asked = histories.request(account_id, cost=1)
        histories.record(ledger, asked)
        with at_level(pool, account_id, timeout_seconds=60) as connection:
            newest = list_generations(connection, account_id, limit=100)
        assert asked.generation_id in {row.id for row in newest}


def all_write_then_list(ledger: Ledger, pool: ConnectionPool[Connection]) -> None:
    for number in range(20):
        open_account(ledger, f"a-{number}")
    with ThreadPoolExecutor(CALLERS) as threads:
        calls = [threads.submit(write_then_list, ledger, pool, n) for n in range(CALLERS)]
        for call in calls:
            call.result(60)


def test_a_list_after_a_write_shows_it(
    ledger: Ledger, pool: ConnectionPool[Connection], database: Database
) -> None:
    stop = threading.Event()
    projector = threading.Thread(target=Projector(database.url).run, args=(stop,))
    projector.start()
    try:
        all_write_then_list(ledger, pool)
    finally:
        stop.set()
        projector.join(60)


def test_a_list_after_a_write_shows_it_with_no_projector_running(
    ledger: Ledger, pool: ConnectionPool[Connection], connection: Connection
) -> None:
    all_write_then_list(ledger, pool)
    assert failures(connection) == []


def test_without_waiting_a_list_would_show_older_state(
    ledger: Ledger, pool: ConnectionPool[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "at_level", lambda pool, *_, **__: pool.connection())
    open_account(ledger, "a-0")
    with pytest.raises(AssertionError):
        write_then_list(ledger, pool, 0)


def test_an_account_that_is_level_does_not_wait_for_others(
    ledger: Ledger,
    pool: ConnectionPool[Connection],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_account(ledger, "a")
    advance(connection)
    open_account(ledger, "b")
    monkeypatch.setattr(level, "advance", None)
    with at_level(pool, "a"):
        pass
    with at_level(pool, "unheard-of"):
        pass
    assert lag(connection) == 2


def test_views_that_cannot_be_brought_level_are_named_in_time(
    ledger: Ledger, pool: ConnectionPool[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(level, "advance", lambda _: 0)
    open_account(ledger, "a")
    started = time.monotonic()
    with pytest.raises(ViewsBehindError) as caught, at_level(pool, "a", timeout_seconds=0.3):
        pass
    assert time.monotonic() - started >= 0.3
    assert caught.value.views == ("balances", "generations", "images", "transactions")


def test_a_stopped_view_is_named_at_once_to_whoever_needs_it(
    ledger: Ledger, pool: ConnectionPool[Connection], database: Database
) -> None:
    open_account(ledger, "a", tokens=50)
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("ALTER TABLE transactions ADD CHECK (amount < 50)")
    started = time.monotonic()
    with pytest.raises(ViewsBehindError) as caught, at_level(pool, "a", timeout_seconds=60):
        pass
    assert time.monotonic() - started < 30
    assert caught.value.views == ("transactions",)
    with at_level(pool, "a", views=("generations", "images")):
        pass
    # An account without events behind the fault goes on as ever.
    with at_level(pool, "b"):
        pass
