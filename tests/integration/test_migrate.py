import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from databases import Database, TestServer
from ledger.migrate import MIGRATIONS, MigrationError, migrate, pending
from ledger.revisions import SqlFiles

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
    marks_itself = "INSERT INTO alembic_version VALUES ('0001_bad');"
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
        process.wait(60)
        assert found is not None
        connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM unnest(%s) pid", [found[1]]
        )
    assert pending(empty.owner_url, tmp_path) == ["0001_slow"]
    write(tmp_path, m0001_slow="CREATE TABLE once (id int);")
    assert migrate(empty.owner_url, tmp_path) == ["0001_slow"]


MIGRATE = """
import sys
from pathlib import Path
from ledger.migrate import migrate
print(len(migrate(sys.argv[1], Path(sys.argv[2]))))
"""


MODULES = """
import sys
from ledger.migrate import migrate, pending
assert pending(sys.argv[1]) == migrate(sys.argv[1]) == []
print(*{name.split(".")[0] for name in sys.modules} & {"alembic", "sqlalchemy", "mako"})
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
    with pytest.raises(MigrationError, match="alembic_version: permission denied"):
        migrate(empty.url, tmp_path)
    migrate(empty.owner_url, tmp_path)
    assert pending(empty.url, tmp_path) == []
    assert migrate(empty.url, tmp_path) == []


def test_an_empty_folder_is_an_error(empty: Database, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="no migrations"):
        migrate(empty.owner_url, tmp_path)


@pytest.mark.parametrize(
    ("second", "named"),
    [
        ("0003_gap", "0003_gap.sql is not 0002_"),
        ("0001_twin", "0001_twin.sql is not 0002_"),
        ("2_short", "2_short.sql is not 0002_"),
        ("0002_it's", "0002_it's.sql is not 0002_"),
        ("0002_" + "x" * 28, "of 32 characters"),
    ],
)
def test_a_file_that_is_not_the_next_in_line_is_an_error(
    empty: Database, tmp_path: Path, second: str, named: str
) -> None:
    write(tmp_path, m0001_first="SELECT 1;", **{second: "SELECT 1;"})
    for ask in (pending, migrate):
        with pytest.raises(MigrationError, match=named):
            ask(empty.owner_url, tmp_path)


def test_a_database_that_is_ahead_has_nothing_pending(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m0001_first="SELECT 1;", m0002_second="SELECT 1;")
    migrate(empty.owner_url, tmp_path)
    (tmp_path / "0002_second.sql").unlink()
    assert pending(empty.url, tmp_path) == []
    assert migrate(empty.owner_url, tmp_path) == []


def test_a_database_on_another_line_is_left_alone(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m0001_first="SELECT 1;", m0002_ours="SELECT 1;")
    migrate(empty.owner_url, tmp_path)
    (tmp_path / "0002_ours.sql").unlink()
    write(tmp_path, m0002_theirs="SELECT 1;", m0003_more="SELECT 1;")
    for ask in (pending, migrate):
        with pytest.raises(MigrationError, match="the database is at 0002_ours"):
            ask(empty.owner_url, tmp_path)


def test_urls_with_options_and_conninfo_strings_both_lead_there(
    empty: Database, tmp_path: Path
) -> None:
    password = "p@s:s/w?o#r%25d&='\\ é"
    parts = conninfo_to_dict(empty.superuser_url)
    with psycopg.connect(empty.superuser_url) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(
                sql.Identifier("odd one"), sql.Literal(password)
            )
        )
    authority = f"odd%20one:{quote(password, safe='')}@{parts['host']}:{parts['port']}"
    url = f"postgresql://{authority}/{empty.name}?sslmode=disable&application_name=a%20b"
    conninfo = make_conninfo(empty.superuser_url, user="odd one", password=password)
    write(tmp_path, m0001_name="CREATE TABLE a AS SELECT current_setting('application_name') n;")
    assert migrate(url, tmp_path) == ["0001_name"]
    assert rows(url, "SELECT n FROM a") == [("a b",)]
    write(tmp_path, m0002_more="CREATE TABLE b (id int);")
    assert migrate(conninfo, tmp_path) == ["0002_more"]


def test_nothing_pending_loads_neither_alembic_nor_sqlalchemy(database: Database) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", MODULES, database.owner_url],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert finished.stdout.split() == []


def test_the_real_migrations_are_one_line_for_alembic_and_applied(
    database: Database, database_server: TestServer
) -> None:
    files = sorted(MIGRATIONS.glob("*.sql"))
    revisions = [script.revision for script in SqlFiles(files).walk_revisions()]
    assert revisions[::-1] == [file.stem for file in files]
    assert rows(database.url, "SELECT version_num FROM alembic_version") == [(files[-1].stem,)]
    assert pending(database.url) == []
    owners = rows(
        database.url, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    )
    assert owners == [("mintage_owner",)]
    assert database_server.postgres.running
