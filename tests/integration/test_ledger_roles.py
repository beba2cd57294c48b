"""Nobody changes the log: not the application, and not the owner by mistake."""

import psycopg
import pytest

from databases import Database
from ledger_running import running
from ledger_samples import opening, plain

CHANGES = {
    "update": "UPDATE ledger_events SET settled = settled + 1",
    "update of no row": "UPDATE ledger_events SET settled = 0 WHERE false",
    "delete": "DELETE FROM ledger_events",
    "truncate": "TRUNCATE ledger_events",
    "merge": (
        "MERGE INTO ledger_events AS e USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE"
    ),
    "upsert": (
        "INSERT INTO ledger_events SELECT * FROM ledger_events"
        " ON CONFLICT (position) DO UPDATE SET settled = 7"
    ),
    "through the view": "DELETE FROM ledger_facts",
}
STRUCTURE = {
    "disable the trigger": "ALTER TABLE ledger_events DISABLE TRIGGER ledger_events_append_only",
    "disable all triggers": "ALTER TABLE ledger_events DISABLE TRIGGER ALL",
    "be a replica": "SET session_replication_role = replica",
    "drop the trigger": "DROP TRIGGER ledger_events_append_only ON ledger_events",
    "replace its function": (
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN NULL; END; $$"
    ),
    "drop the log": "DROP TABLE ledger_events",
    "own the log": "ALTER TABLE ledger_events OWNER TO mintage_app",
    "become the owner": "SET ROLE mintage_owner",
    "drop the constraint": "ALTER TABLE ledger_events DROP CONSTRAINT ledger_events_no_overspend",
}


@pytest.fixture
def logged(database: Database) -> Database:
    with running(database.url) as ledger:
        ledger.record(plain(opening(tokens=5)))
    return database


def refused(url: str, statement: str) -> str:
    with psycopg.connect(url) as connection, pytest.raises(psycopg.Error) as raised:
        connection.execute(statement.encode())
    return raised.value.sqlstate or ""


def rows(database: Database) -> list[tuple[object, ...]]:
    with psycopg.connect(database.superuser_url) as connection:
        return connection.execute("SELECT * FROM ledger_events ORDER BY position").fetchall()


@pytest.mark.parametrize("change", CHANGES)
def test_the_application_cannot_change_the_log(logged: Database, change: str) -> None:
    before = rows(logged)
    assert refused(logged.url, CHANGES[change]) == "42501"
    assert rows(logged) == before


@pytest.mark.parametrize("change", STRUCTURE)
def test_nor_what_guards_it(logged: Database, change: str) -> None:
    before = rows(logged)
    assert refused(logged.url, STRUCTURE[change]) == "42501"
    assert refused(logged.owner_url, CHANGES["delete"]) == "42501"
    assert rows(logged) == before


def test_the_application_has_no_right_but_to_read_and_append(logged: Database) -> None:
    with psycopg.connect(logged.superuser_url) as connection:
        rights = connection.execute(
            "SELECT r.privilege_type FROM pg_class, aclexplode(relacl) AS r"
            " WHERE oid = 'ledger_events'::regclass AND r.grantee = 'mintage_app'::regrole"
        ).fetchall()
    assert set(rights) == {("SELECT",), ("INSERT",)}


@pytest.mark.parametrize("change", CHANGES)
def test_the_owner_cannot_either(logged: Database, change: str) -> None:
    before = rows(logged)
    assert refused(logged.owner_url, CHANGES[change]) == "42501"
    assert rows(logged) == before


def test_the_owner_would_have_to_take_the_guard_down_first(logged: Database) -> None:
    with psycopg.connect(logged.owner_url) as connection:
        connection.execute("DROP TRIGGER ledger_events_append_only ON ledger_events")
        assert connection.execute(CHANGES["delete"].encode()).rowcount == 2
        connection.rollback()
    assert refused(logged.owner_url, CHANGES["delete"]) == "42501"


def test_a_grant_to_itself_gives_nothing(logged: Database) -> None:
    with psycopg.connect(logged.url) as connection:
        connection.execute("GRANT UPDATE ON ledger_events TO mintage_app")  # a warning, no error
    assert refused(logged.url, CHANGES["update"]) == "42501"


def test_no_row_overspends_whoever_writes_it(logged: Database) -> None:
    overspent = (
        "INSERT INTO ledger_events SELECT 3, 'ann', 3, topic, at, actor, gen_random_uuid(),"
        " NULL, NULL, 5, 6, data FROM ledger_events WHERE position = 2"
    )
    for url in (logged.url, logged.owner_url, logged.superuser_url):
        assert refused(url, overspent) == "23514"
        assert refused(url, overspent.replace("5, 6", "-1, -1")) == "23514"
