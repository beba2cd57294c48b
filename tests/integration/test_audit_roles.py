"""Nobody unsays a read: not the application, and not the owner by mistake."""

import psycopg
import pytest

from api.audit.recording import record_read
from databases import Database

CHANGES = {
    "update": "UPDATE audit_reads SET reader = 'somebody else'",
    "update of no row": "UPDATE audit_reads SET reader = '' WHERE false",
    "delete": "DELETE FROM audit_reads",
    "truncate": "TRUNCATE audit_reads",
}
MORE = {
    "date it back": (
        "INSERT INTO audit_reads (at, reader, role, what, query)"
        " VALUES (now() - interval '1 day', 'a', 'admin', 'events', '{}')"
    ),
    "choose its place": (
        "INSERT INTO audit_reads (id, reader, role, what, query) OVERRIDING SYSTEM VALUE"
        " VALUES (0, 'a', 'admin', 'events', '{}')"
    ),
    "disable the trigger": "ALTER TABLE audit_reads DISABLE TRIGGER audit_reads_append_only",
    "be a replica": "SET session_replication_role = replica",
    "drop the trigger": "DROP TRIGGER audit_reads_append_only ON audit_reads",
    "replace its function": (
        "CREATE OR REPLACE FUNCTION refuse_change_of_reads() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN NULL; END; $$"
    ),
    "drop it": "DROP TABLE audit_reads",
}


@pytest.fixture
def watched(database: Database) -> Database:
    with psycopg.connect(database.url) as connection:
        record_read(connection, "events", query={"type": "TokensGranted", "limit": 5, "to": None})
    return database


def rows(database: Database) -> list[tuple[object, ...]]:
    with psycopg.connect(database.superuser_url) as connection:
        return connection.execute("SELECT * FROM audit_reads ORDER BY id").fetchall()


def refused(url: str, statement: str) -> str:
    with psycopg.connect(url) as connection, pytest.raises(psycopg.Error) as raised:
        connection.execute(statement.encode())
    return raised.value.sqlstate or ""


@pytest.mark.parametrize("change", CHANGES | MORE)
def test_the_application_only_adds_and_reads(watched: Database, change: str) -> None:
    before = rows(watched)
    assert refused(watched.url, (CHANGES | MORE)[change]) == "42501"
    assert rows(watched) == before


@pytest.mark.parametrize("change", CHANGES)
def test_the_owner_cannot_either(watched: Database, change: str) -> None:
    before = rows(watched)
    assert refused(watched.owner_url, CHANGES[change]) == "42501"
    assert rows(watched) == before


def test_a_line_says_how_it_was_asked_and_nothing_of_what_was_left_out(watched: Database) -> None:
    (row,) = rows(watched)
    assert row[2:] == ("cli", "admin", "events", None, {"type": "TokensGranted", "limit": 5}, [])
