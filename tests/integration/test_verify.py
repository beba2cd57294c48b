"""What a verification finds row by row, what it cannot look at, and how it says so."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

import histories
from cutting_proxy import CuttingProxy
from databases import Database
from ledger.accounts import SNAPSHOT_EVERY
from ledger.commands import GrantTokens, OpenAccount
from ledger.ledger import Ledger
from projections.advance import advance
from projections.verify.objects import ObjectsUnavailableError
from projections.views import VIEW_NAMES
from verifying import tamper, told, verified

KEYS = {
    "balances": ("account_id",),
    "transactions": ("position",),
    "generations": ("id",),
    "images": ("id",),
}


@pytest.fixture
def seed() -> int:
    seed = random.SystemRandom().randrange(2**32)
    print(f"history of seed {seed}")
    return seed


@pytest.fixture
def ledger(database: Database, seed: int) -> Iterator[Ledger]:
    with Ledger(database.url) as ledger:
        histories.History(ledger, seed).write(250)
        with psycopg.connect(database.url, autocommit=True) as connection:
            while advance(connection):
                pass
        yield ledger


def columns(database: Database, view: str) -> list[tuple[str, str]]:
    with psycopg.connect(database.url) as connection:
        return connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            (view,),
        ).fetchall()


OTHER = {
    "text": "'other'",
    "bigint": "{0} + 1000000",  # where no other row has its key
    "integer": "{0} + 1",
    "boolean": "NOT {0}",
    "uuid": "gen_random_uuid()",
    "jsonb": "'{{}}'",
    "timestamp with time zone": "{0} + interval '1 microsecond'",
}


@pytest.mark.parametrize("view", VIEW_NAMES)
@pytest.mark.usefixtures("ledger")
def test_each_column_of_each_view_is_compared(database: Database, view: str) -> None:
    """One row, one column at a time changed; and nothing else is found."""
    for name, kind in columns(database, view):
        with psycopg.connect(database.superuser_url, autocommit=True) as anyone:
            anyone.execute("SET session_replication_role = replica")
            table, column = sql.Identifier(view), sql.Identifier(name)
            found = anyone.execute(
                sql.SQL("SELECT ctid, account_id FROM {} WHERE {} IS NOT NULL LIMIT 1").format(
                    table, column
                )
            ).fetchone()
            if found is None:
                continue  # no account of this history has such a value
            copy = sql.SQL("CREATE TABLE kept AS SELECT * FROM {}").format(table)
            anyone.execute(copy)
            other = sql.SQL(OTHER[kind].format(name))
            change = sql.SQL("UPDATE {} SET {} = {} WHERE ctid = %s").format(table, column, other)
            anyone.execute(change, (found[0],))
            findings, report = verified(database.url)
            anyone.execute(sql.SQL("TRUNCATE {}").format(table))
            anyone.execute(sql.SQL("INSERT INTO {} SELECT * FROM kept").format(table))
            anyone.execute("DROP TABLE kept")
        assert report.status == "findings", name
        kinds = {each.kind for each in findings}
        if name == "account_id":
            assert kinds == {"row_missing", "account_unknown"}, findings
        else:
            assert kinds == {"row_differs"}, (name, findings)
            (finding,) = findings
            assert (finding.view, finding.account_id) == (view, found[1])
            assert f"{name}: expected " in finding.detail
    assert verified(database.url)[1].status == "ok"


@pytest.mark.usefixtures("ledger")
def test_rows_gone_and_rows_more(database: Database, seed: int) -> None:
    moments = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    for view in VIEW_NAMES:
        with psycopg.connect(database.superuser_url) as anyone:
            table = sql.Identifier(view)
            rows = anyone.execute(sql.SQL("SELECT ctid FROM {}").format(table)).fetchall()
            gone = moments.choice(rows)
            anyone.execute(sql.SQL("DELETE FROM {} WHERE ctid = %s").format(table), gone)
    findings, _ = verified(database.url)
    assert sorted((f.kind, f.view) for f in findings) == sorted(
        ("row_missing", view) for view in VIEW_NAMES
    )


@pytest.mark.usefixtures("ledger")
def test_only_the_views_asked_for(database: Database) -> None:
    tamper(database, "DELETE FROM images", "UPDATE balances SET held = 0, settled = -1")
    findings, report = verified(database.url, views=["images", "transactions"])
    assert {each.view for each in findings} == {"images"}
    assert list(report.views) == ["images", "transactions"]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.usefixtures("ledger")
def test_as_many_processes_find_the_same(database: Database, processes: int) -> None:
    tamper(database, "UPDATE balances SET settled = settled + 5")
    findings, report = verified(database.url, processes=processes)
    accounts = {each.account_id for each in findings}
    assert len(findings) == len(accounts) > 1
    assert report.events == report.position


def test_a_wrong_snapshot(database: Database, ledger: Ledger) -> None:
    histories.record(ledger, OpenAccount(account_id="long", is_member=False, tokens=0))
    for _ in range(SNAPSHOT_EVERY):
        grant = GrantTokens(account_id="long", amount=1, reason="promo", reference=None)
        histories.record(ledger, grant)
    assert verified(database.url, views=[])[1].status == "ok"
    tamper(
        database,
        "UPDATE account_snapshots SET state = jsonb_set(state, '{settled}', '999999') "
        "WHERE account_id = 'long'",
    )
    findings, _ = verified(database.url, views=[])
    (finding,) = findings
    assert finding.kind == "snapshot_differs"
    assert "settled: the fold leads to" in finding.detail


def test_a_view_behind_is_compared_up_to_where_it_is(database: Database, ledger: Ledger) -> None:
    head = ledger.head()
    histories.History(ledger, 2).write(50)
    findings, report = verified(database.url)
    assert (findings, report.status) == ([], "ok")
    assert report.views["images"].position == head
    assert report.views["images"].behind == ledger.head() - head > 0


@pytest.mark.usefixtures("ledger")
def test_a_stopped_view_is_incomplete(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute(
            "INSERT INTO view_failures (view, position, problem, failed_at, retry_at) "
            "SELECT view, position, 'x', now(), now() FROM view_positions WHERE view = 'images'"
        )
    findings, report = verified(database.url)
    assert (findings, report.status) == ([], "incomplete")
    assert "view images has stopped" in report.incomplete[0]


@pytest.mark.usefixtures("ledger")
def test_a_table_that_may_not_be_read_is_incomplete(database: Database) -> None:
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("REVOKE SELECT ON images FROM mintage_app")
    findings, report = verified(database.url)
    assert (findings, report.status) == ([], "incomplete")
    assert report.incomplete == ["images could not be read: permission denied for table images"]


def test_a_fact_that_cannot_be_read(database: Database, ledger: Ledger) -> None:
    position = ledger.head() // 2
    change = f"UPDATE ledger_events SET topic = 'who_knows:3' WHERE position = {position}"  # noqa: S608
    tamper(database, change)
    findings, report = verified(database.url)
    assert next(row for row in told(findings) if row[0] == "unreadable")[3] == position
    assert report.status == "incomplete"


@pytest.mark.usefixtures("ledger")
def test_guards_that_are_off(database: Database) -> None:
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("ALTER TABLE ledger_events DISABLE TRIGGER ledger_events_append_only")
        owner.execute("ALTER TABLE ledger_events DROP CONSTRAINT ledger_events_fact_id_key")
    findings, _ = verified(database.url)
    assert [each.kind for each in findings] == ["guard_missing"] * 2
    assert "no change of a row" in "".join(each.detail for each in findings)


class Silent:
    """A storage that does not answer."""

    def size(self, key: str) -> int | None:
        raise ObjectsUnavailableError(f"no answer for {key[:1]}")

    def digest(self, key: str) -> tuple[int, str] | None:
        return self.size(key), ""  # type: ignore[return-value]


@pytest.mark.usefixtures("ledger")
def test_a_storage_out_of_reach_is_incomplete(database: Database) -> None:
    findings, report = verified(database.url, objects=Silent())
    assert (findings, report.status) == ([], "incomplete")
    assert "the storage did not answer" in report.incomplete[0]


@pytest.mark.usefixtures("ledger")
def test_a_database_out_of_reach_is_incomplete(database: Database) -> None:
    with CuttingProxy(database.url) as proxy:
        proxy.refuse()
        findings, report = verified(proxy.url)
    assert (findings, report.status) == ([], "incomplete")


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.usefixtures("ledger")
def test_a_database_lost_in_the_middle_is_incomplete(database: Database, processes: int) -> None:
    """Lost between the accounts and what is looked at after them."""
    lost = threading.Event()

    with CuttingProxy(database.url) as proxy:

        def cut(connection: psycopg.Connection[Any], _: Any) -> Iterator[Any]:
            lost.set()
            proxy.drop_all()
            connection.execute("SELECT 1")
            yield from ()

        findings, report = verified(proxy.url, processes=processes, further=[cut])
    assert lost.is_set()
    assert (findings, report.status) == ([], "incomplete")
    assert "the database could be read no further" in report.incomplete[0]


def test_an_empty_log(database: Database, tmp_path: Path) -> None:
    del tmp_path
    findings, report = verified(database.url, processes=2)
    assert (findings, report.status, report.position) == ([], "ok", 0)
