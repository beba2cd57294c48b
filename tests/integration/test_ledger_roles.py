"""Nobody changes the log: not the application, and not the owner by mistake."""

import psycopg
import pytest
from psycopg import sql

from databases import Database
from ledger.chain.blocks import catch_up
from ledger_running import running
from ledger_samples import opening, plain

TABLES = {"ledger_events": "topic", "ledger_chain": "links", "ledger_identity": "id"}
CHANGES = {
    "update": "UPDATE ledger_events SET settled = settled + 1",
    "update of no row": "UPDATE ledger_events SET settled = 0 WHERE false",
    "delete": "DELETE FROM ledger_events",
    "truncate": "TRUNCATE ledger_events",
    "truncate all": "TRUNCATE ledger_events, ledger_chain, ledger_identity CASCADE",
    "merge": (
        "MERGE INTO ledger_events AS e USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE"
    ),
    "upsert": (
        "INSERT INTO ledger_events SELECT * FROM ledger_events"
        " ON CONFLICT (position) DO UPDATE SET settled = 7"
    ),
    "through the view": "DELETE FROM ledger_facts",
    "update of the chain": "UPDATE ledger_chain SET hash = hash",
    "update of no block": "UPDATE ledger_chain SET block = 7 WHERE false",
    "delete from the chain": "DELETE FROM ledger_chain",
    "truncate the chain": "TRUNCATE ledger_chain",
    "upsert of a block": (
        "INSERT INTO ledger_chain (block, first_position, last_position, previous_hash, hash,"
        " links) SELECT block, first_position, last_position, previous_hash, hash, links"
        " FROM ledger_chain ON CONFLICT (block) DO UPDATE SET hash = sha256('x')"
    ),
    "another identity": "UPDATE ledger_identity SET id = gen_random_uuid()",
    "no identity": "DELETE FROM ledger_identity",
    "truncate the identity": "TRUNCATE ledger_identity",
}
STRUCTURE = {
    "be a replica": "SET session_replication_role = replica",
    "replace the function": (
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN NULL; END; $$"
    ),
    "drop the function": "DROP FUNCTION refuse_change() CASCADE",
    "rename the function": "ALTER FUNCTION refuse_change() RENAME TO allow_change",
    "become the owner": "SET ROLE mintage_owner",
    "speak as the owner": "SET SESSION AUTHORIZATION mintage_owner",
    "join the owner": "GRANT mintage_owner TO mintage_app",
    "become a superuser": "ALTER ROLE mintage_app SUPERUSER",
    "have the owner's password": "ALTER ROLE mintage_owner PASSWORD 'x'",
    "drop the owner's things": "DROP OWNED BY mintage_owner CASCADE",
    "take the owner's things": "REASSIGN OWNED BY mintage_owner TO mintage_app",
    "drop the schema": "DROP SCHEMA public CASCADE",
    "make things in the schema": "CREATE TABLE mine (x integer)",
    "change the catalogue": "UPDATE pg_trigger SET tgenabled = 'D'",
    "drop the constraint": "ALTER TABLE ledger_events DROP CONSTRAINT ledger_events_no_overspend",
    "drop the chain's order": "ALTER TABLE ledger_chain DROP CONSTRAINT ledger_chain_follows",
    "drop the database": "DROP DATABASE {database}",
    "run a program": "COPY ledger_events TO PROGRAM 'cat'",
} | {
    f"{deed}, {table}": statement.format(table=table, column=column)
    for table, column in TABLES.items()
    for deed, statement in {
        "disable the trigger": "ALTER TABLE {table} DISABLE TRIGGER {table}_append_only",
        "disable the triggers": "ALTER TABLE {table} DISABLE TRIGGER USER",
        "disable all triggers": "ALTER TABLE {table} DISABLE TRIGGER ALL",
        "drop the trigger": "DROP TRIGGER {table}_append_only ON {table}",
        "rename the trigger": "ALTER TRIGGER {table}_append_only ON {table} RENAME TO harmless",
        "add a trigger": (
            "CREATE TRIGGER a_first BEFORE INSERT ON {table} FOR EACH ROW"
            " EXECUTE FUNCTION refuse_change()"
        ),
        "add a rule": "CREATE RULE nothing AS ON INSERT TO {table} DO INSTEAD NOTHING",
        "drop": "DROP TABLE {table} CASCADE",
        "rename": "ALTER TABLE {table} RENAME TO gone",
        "move": "ALTER TABLE {table} SET SCHEMA pg_temp",
        "own": "ALTER TABLE {table} OWNER TO mintage_app",
        "add a column": "ALTER TABLE {table} ADD COLUMN more text",
        "change a column": "ALTER TABLE {table} ALTER COLUMN {column} TYPE text",
        "hide rows": "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        "lock out": "BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
        "cluster": "CLUSTER {table}",
    }.items()
}


@pytest.fixture
def logged(database: Database) -> Database:
    with running(database.url) as ledger:
        ledger.record(plain(opening(tokens=5)))
    with psycopg.connect(database.url, autocommit=True) as connection:
        assert catch_up(connection).block == 1
    return database


def refused(url: str, statement: str) -> str:
    """The state of the error; nothing rolls back what is not refused."""
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises(psycopg.Error) as raised,
    ):
        connection.execute(statement.encode())
    return raised.value.sqlstate or ""


def rows(database: Database) -> list[list[tuple[object, ...]]]:
    with psycopg.connect(database.superuser_url) as connection:
        return [
            connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()
            for table in TABLES
        ]


@pytest.mark.parametrize("change", CHANGES)
def test_the_application_cannot_change_the_log(logged: Database, change: str) -> None:
    before = rows(logged)
    assert refused(logged.url, CHANGES[change]) == "42501"
    assert rows(logged) == before


@pytest.mark.parametrize("change", STRUCTURE)
def test_nor_what_guards_it(logged: Database, change: str) -> None:
    before = rows(logged)
    statement = STRUCTURE[change].replace("{database}", logged.name)
    assert refused(logged.url, statement) == "42501"
    for deed in ("delete", "delete from the chain", "no identity"):
        assert refused(logged.owner_url, CHANGES[deed]) == "42501"
    assert rows(logged) == before


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("ledger_events", {"SELECT", "INSERT"}),
        ("ledger_chain", {"SELECT", "INSERT"}),
        ("ledger_identity", {"SELECT"}),
    ],
)
def test_the_application_has_no_right_but_to_read_and_append(
    logged: Database, table: str, expected: set[str]
) -> None:
    with psycopg.connect(logged.superuser_url) as connection:
        rights = connection.execute(
            "SELECT r.privilege_type FROM pg_class, aclexplode(relacl) AS r"
            " WHERE oid = %s::regclass AND r.grantee IN ('mintage_app'::regrole, 0)",
            (table,),
        ).fetchall()
        by_column = connection.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass"
            " AND attacl IS NOT NULL",
            (table,),
        ).fetchall()
    assert {right for (right,) in rights} == expected
    assert by_column == []


def test_the_application_is_nobody_special(logged: Database) -> None:
    with psycopg.connect(logged.superuser_url) as connection:
        roles = connection.execute(
            "SELECT rolname::text, rolsuper, rolcreaterole, rolcreatedb, rolreplication,"
            " rolbypassrls, pg_has_role(oid, 'mintage_owner', 'MEMBER') FROM pg_roles"
            " WHERE rolname IN ('mintage_app', 'mintage_owner') ORDER BY rolname"
        ).fetchall()
        definer = connection.execute(
            "SELECT count(*) FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        ).fetchone()
    assert roles == [
        ("mintage_app", False, False, False, False, False, False),
        ("mintage_owner", False, False, False, False, False, True),
    ]
    assert definer == (0,)


def test_the_owner_cannot_be_a_replica(logged: Database) -> None:
    assert refused(logged.owner_url, STRUCTURE["be a replica"]) == "42501"


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
