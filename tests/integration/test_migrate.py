import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from databases import Database, TestServer
from ledger.migrate import MIGRATIONS, MigrationError, migrate, pending

FUNCTION = """
-- A comment; with a semicolon, and it's an apostrophe
CREATE TABLE pair (id bigint PRIMARY KEY, note text DEFAULT '100%; :name');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE n int := 1; -- don't; split
BEGIN
    FOR n IN 1..2 LOOP PERFORM 1; END LOOP;
    CASE WHEN TG_OP = 'DELETE' THEN RAISE EXCEPTION 'no; % :name', TG_OP; ELSE NULL; END CASE;
    BEGIN NULL; EXCEPTION WHEN OTHERS THEN NULL; END;
    EXECUTE $q$ SELECT 1; $q$;
    RETURN NEW;
END
$$;
CREATE TRIGGER refused BEFORE DELETE ON pair FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT x; SELECT 2 * x; END;
INSERT INTO pair (id) VALUES (1);
"""
SLOW = "SELECT pg_sleep(0.2);\nCREATE TABLE once (id int);\nINSERT INTO once VALUES (1);\n"


@pytest.fixture
def empty(database: Database) -> Database:
    """A database that no migration has touched."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    return database


def write(folder: Path, **files: str) -> None:
    for name, content in files.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(content)


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(sql.SQL(query)).fetchall()


def test_applies_each_file_once_in_order(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m0002_rows="INSERT INTO a VALUES (1);", m0001_table="CREATE TABLE a (id int);")
    assert pending(empty.owner_url, tmp_path) == ["0001_table", "0002_rows"]
    assert migrate(empty.owner_url, tmp_path) == ["0001_table", "0002_rows"]
    assert migrate(empty.owner_url, tmp_path) == []
    write(tmp_path, m0003_more="INSERT INTO a VALUES (2);")
    assert migrate(empty.owner_url, tmp_path) == ["0003_more"]
    assert rows(empty.owner_url, "SELECT id FROM a ORDER BY id") == [(1,), (2,)]


def test_function_bodies_and_percent_signs_arrive_whole(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m0001_function=FUNCTION)
    migrate(empty.owner_url, tmp_path)
    assert rows(empty.owner_url, "SELECT note FROM pair") == [("100%; :name",)]
    assert rows(empty.owner_url, "SELECT twice(4)") == [(8,)]
    with pytest.raises(psycopg.errors.RaiseException, match="no; DELETE :name"):
        rows(empty.owner_url, "DELETE FROM pair RETURNING id")


def test_a_failing_file_leaves_nothing_and_names_itself(empty: Database, tmp_path: Path) -> None:
    write(
        tmp_path,
        m0001_good="CREATE TABLE good (id int);",
        m0002_bad="CREATE TABLE half (id int);\nSELECT no_such_thing;",
    )
    with pytest.raises(MigrationError, match=r"0002_bad: .*no_such_thing"):
        migrate(empty.owner_url, tmp_path)
    assert pending(empty.owner_url, tmp_path) == ["0002_bad"]
    assert rows(empty.owner_url, "SELECT to_regclass('half')") == [(None,)]
    write(tmp_path, m0002_bad="CREATE TABLE half (id int);")
    assert migrate(empty.owner_url, tmp_path) == ["0002_bad"]


def test_a_file_that_cannot_be_marked_is_not_applied_either(
    empty: Database, tmp_path: Path
) -> None:
    marks_itself = "INSERT INTO schema_migration (name) VALUES ('0001_bad');"
    write(tmp_path, m0001_bad=f"CREATE TABLE half (id int);\n{marks_itself}")
    with pytest.raises(MigrationError, match="0001_bad: duplicate key"):
        migrate(empty.owner_url, tmp_path)
    assert rows(empty.owner_url, "SELECT to_regclass('half')") == [(None,)]
    assert pending(empty.owner_url, tmp_path) == ["0001_bad"]


def test_killed_before_the_commit_neither_applied_nor_marked(
    empty: Database, tmp_path: Path
) -> None:
    write(tmp_path, m0001_slow="CREATE TABLE once (id int);\nSELECT pg_sleep(60);")
    process = subprocess.Popen([sys.executable, "-c", MIGRATE, empty.owner_url, str(tmp_path)])
    with psycopg.connect(empty.superuser_url, autocommit=True) as connection:
        for _ in range(1000):
            found = connection.execute(
                "SELECT pg_sleep(0.02), (SELECT array_agg(pid) FROM pg_stat_activity"
                " WHERE wait_event = 'PgSleep' AND datname = current_database()"
                " AND pid <> pg_backend_pid())"
            ).fetchone()
            if found is not None and found[1]:
                break
        process.kill()
        process.wait(10)
        assert found is not None
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) pid", [found[1]])
    assert pending(empty.owner_url, tmp_path) == ["0001_slow"]
    write(tmp_path, m0001_slow="CREATE TABLE once (id int);")
    assert migrate(empty.owner_url, tmp_path) == ["0001_slow"]


MIGRATE = """
import sys
from pathlib import Path
from ledger.migrate import migrate
print(len(migrate(sys.argv[1], Path(sys.argv[2]))))
"""


def test_eight_processes_at_once_apply_each_file_once(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m0001_slow=SLOW, m0002_more="INSERT INTO once VALUES (2);")
    command = [sys.executable, "-c", MIGRATE, empty.owner_url, str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    outcomes = [process.communicate(timeout=60) for process in processes]
    assert [error for _, error in outcomes] == [""] * 8
    assert sorted(int(out) for out, _ in outcomes) == [0] * 7 + [2]
    assert rows(empty.owner_url, "SELECT id FROM once ORDER BY id") == [(1,), (2,)]


def test_the_application_role_may_ask_what_is_pending_but_not_apply(
    empty: Database, tmp_path: Path
) -> None:
    write(tmp_path, m0001_table="CREATE TABLE a (id int);")
    assert pending(empty.url, tmp_path) == ["0001_table"]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        migrate(empty.url, tmp_path)
    migrate(empty.owner_url, tmp_path)
    assert pending(empty.url, tmp_path) == []
    assert migrate(empty.url, tmp_path) == []


def test_an_empty_folder_is_an_error(empty: Database, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="no migrations"):
        migrate(empty.owner_url, tmp_path)


def test_the_real_migrations_are_numbered_without_gaps_and_applied(
    database: Database, database_server: TestServer
) -> None:
    names = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert pending(database.url) == []
    owners = rows(
        database.url, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    )
    assert owners == [("mintage_owner",)]
    assert database_server.postgres.running
