"""Pages of many accounts read at once are each what that account alone would be shown."""

import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

import histories
from databases import Database
from ledger.commands import OpenAccount
from ledger.identity import new_id
from ledger.ledger import Ledger
from projections import images, pages
from projections.advance import advance
from projections.images import list_images
from projections.pages import (
    BY_INDEX,
    PageOf,
    list_generation_pages,
    list_image_pages,
    list_transaction_pages,
)
from projections.reads import list_generations, list_transactions
from projections.rebuild import Rebuild
from projections.views import VIEWS

Connection = psycopg.Connection[Any]

ACCOUNTS = 5


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    with Ledger(database.url) as ledger:
        yield ledger


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with psycopg.connect(database.url, autocommit=True, options=BY_INDEX) as connection:
        yield connection


@pytest.fixture
def seed() -> int:
    seed = random.SystemRandom().randrange(2**32)
    print(f"history of seed {seed}")
    return seed


def charge(ledger: Ledger, account_id: str, count: int = 1) -> None:
    asked = histories.request(account_id, count=count)
    histories.record(ledger, asked)
    histories.settle(ledger, asked)


def opened(ledger: Ledger, *account_ids: str) -> None:
    for account_id in account_ids:
        opening = OpenAccount(account_id=account_id, is_member=True, tokens=1_000)
        histories.record(ledger, opening)
        charge(ledger, account_id, count=3)


def test_each_account_is_given_its_own_page(
    ledger: Ledger, connection: Connection, seed: int
) -> None:
    histories.History(ledger, seed, accounts=ACCOUNTS).write(300)
    advance(connection)
    like_some(connection)
    drawn = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    asked = [draw(connection, drawn) for _ in range(60)]
    found = list_image_pages(connection, asked)
    for page, rows in zip(asked, found, strict=True):
        before = None if page.position is None else (page.position, page.ordinal or 0)
        alone = list_images(connection, page.account_id, before=before, limit=page.limit)
        assert rows == alone, page
    assert any(row.favorite for rows in found if rows for row in rows)
    of_statements = [page._replace(ordinal=None) for page in asked]
    for page, lines in zip(
        of_statements, list_transaction_pages(connection, of_statements), strict=True
    ):
        assert lines == list_transactions(
            connection, page.account_id, before=page.position, limit=page.limit
        ), page
    generations = list_generation_pages(connection, of_statements)
    for page, made in zip(of_statements, generations, strict=True):
        assert made == list_generations(
            connection, page.account_id, before=page.position, limit=page.limit
        ), page


def like_some(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO favorites (account_id, image_id)"
        " SELECT account_id, id FROM images WHERE ordinal = 1"
        " UNION ALL SELECT 'another', id FROM images"
    )


def draw(connection: Connection, drawn: random.Random) -> PageOf:
    """A page from the beginning, or from some image on; also of an account that is not there."""
    account_id = f"account-{drawn.randrange(ACCOUNTS + 1)}"
    limit = drawn.randrange(1, 10)
    places = connection.execute(
        "SELECT position, ordinal FROM images WHERE account_id = %s ORDER BY 1, 2", [account_id]
    ).fetchall()
    if not places or drawn.random() < 0.3:
        return PageOf(account_id, limit)
    return PageOf(account_id, limit, *drawn.choice(places))


def test_an_account_whose_view_is_behind_is_told_apart(
    ledger: Ledger, connection: Connection
) -> None:
    opened(ledger, "behind", "level")
    advance(connection)
    charge(ledger, "behind")
    asked = [PageOf("level", 10), PageOf("behind", 10), PageOf("unheard-of", 10)]
    level, behind, unknown = list_image_pages(connection, asked)
    assert (behind, unknown) == (None, [])
    assert level == list_images(connection, "level", limit=10)
    for list_pages in (list_transaction_pages, list_generation_pages):
        others: Sequence[Sequence[Any] | None] = list_pages(connection, asked)
        assert [rows is None for rows in others] == [False, True, False]
    advance(connection)
    rows = list_image_pages(connection, asked)[1]
    assert rows == list_images(connection, "behind", limit=10)
    assert rows is not None
    assert len(rows) == 4


def test_each_list_waits_for_its_own_view_alone(ledger: Ledger, connection: Connection) -> None:
    opened(ledger, "a")
    advance(connection, views=[view for view in VIEWS if view.name != "images"])
    assert list_image_pages(connection, [PageOf("a", 10)]) == [None]
    assert list_generation_pages(connection, [PageOf("a", 10)]) == [None]  # shown with images
    (lines,) = list_transaction_pages(connection, [PageOf("a", 10)])
    assert lines
    connection.execute("DELETE FROM view_positions WHERE view = 'transactions'")
    assert list_transaction_pages(connection, [PageOf("a", 10)]) == [None]


@pytest.mark.parametrize("name", ["a,b", "", ",", "a\0"])
def test_a_name_that_no_account_can_have_takes_nobody_s_place(
    ledger: Ledger, connection: Connection, name: str
) -> None:
    opened(ledger, "a", "b")
    advance(connection)
    alone = [list_images(connection, account_id, limit=10) for account_id in ("a", "b")]
    for asked in ([name, "a", "b"], ["a", name, "b"], ["a", "b", name]):
        found = dict(
            zip(asked, list_image_pages(connection, [PageOf(a, 10) for a in asked]), strict=True)
        )
        assert found == {name: [], "a": alone[0], "b": alone[1]}
    assert list_image_pages(connection, [PageOf(name, 10)]) == [[]]


def test_a_rebuilt_view_is_read_by_whoever_has_read_the_old_one(
    ledger: Ledger, connection: Connection, database: Database
) -> None:
    """What has been prepared finds the table that was swapped in."""
    opened(ledger, "a")
    advance(connection)
    asked = [PageOf("a", 10)]
    before = list_image_pages(connection, asked), list_transaction_pages(connection, asked)
    Rebuild(database.owner_url, VIEWS).run()
    assert (list_image_pages(connection, asked), list_transaction_pages(connection, asked)) == (
        before
    )
    charge(ledger, "a")
    advance(connection)
    (rows,) = list_image_pages(connection, asked)
    assert rows == list_images(connection, "a", limit=10)
    assert rows is not None
    assert len(rows) == 4


FILL = """
INSERT INTO ledger_events SELECT n, CASE WHEN n % 2 = 0 THEN 'long' ELSE 'a-' || n % 999 END, n,
    'tokens_granted:1', now(), 'a', gen_random_uuid(), NULL, NULL, 1, 0, '{}'
    FROM generate_series(1, 10000) AS n;
INSERT INTO transactions SELECT position, account_id, 'token_grant', 1, 1 FROM ledger_events;
INSERT INTO generations SELECT fact_id, account_id, position, 'succeeded', position
    FROM ledger_events;
INSERT INTO images SELECT gen_random_uuid(), account_id, position, 1, 't' FROM ledger_events;
INSERT INTO favorites SELECT account_id, id FROM images WHERE position % 7 = 0;
"""


@pytest.mark.parametrize("young", [True, False])
def test_there_is_one_plan_for_all_and_it_goes_by_the_indexes(
    database: Database, connection: Connection, *, young: bool
) -> None:
    """A long account's page is read as far as the page goes, also where little is known yet."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        if not young:
            owner.execute(FILL.encode())
            owner.execute("ANALYZE")
    for statement, index in (
        (pages._IMAGES, "Index Scan Backward using images_account_id_position_idx"),
        (pages._TRANSACTIONS, "Index Scan Backward using transactions_pkey"),
        (pages._GENERATIONS, "Index Scan Backward using generations_account_id_position_idx"),
        (images._BY_CHARGE.decode(), "Index Scan using images_account_id_position_idx"),
    ):
        places = re.findall(r"%(?:\(\w+\))?s", statement)
        numbered = statement
        for number, place in enumerate(places, 1):
            numbered = numbered.replace(place, f"${number}", 1)
        given = {4: "'long', '9000', '1', '21'", 2: "'{long}', '{8000}'"}[len(places)]
        connection.execute(f"PREPARE page AS {numbered}".encode())
        rows = connection.execute(f"EXPLAIN (VERBOSE) EXECUTE page ({given})".encode()).fetchall()
        connection.execute("DEALLOCATE page")
        plan = "\n".join(row[0] for row in rows)
        assert "$1" in plan, plan
        assert index in plan, plan
        for unbounded in ("Sort", "Seq Scan", "Bitmap", "Hash Join", "Join Filter: (f", "Material"):
            assert unbounded not in plan, plan


def test_there_is_no_page_of_an_image_that_was_forgotten(
    ledger: Ledger, connection: Connection, database: Database
) -> None:
    """The view says which images there are, the log only what they are."""
    opened(ledger, "a")
    advance(connection)
    rows = list_images(connection, "a", limit=10)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("DELETE FROM images WHERE id = %s", [rows[1].record.id])
    assert list_image_pages(connection, [PageOf("a", 10), PageOf("a", 1)]) == [
        [rows[0], rows[2]],
        [rows[0]],
    ]
    assert new_id() not in {row.record.id for row in rows}
