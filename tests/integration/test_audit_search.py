"""Finding accounts among many, with pg_trgm and where it cannot be had."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import databases
import mintage
from api.audit.search import search_accounts
from databases import Database
from ledger.migrate import migrate

PROFILES = 20_000
_FILL = """
INSERT INTO profiles (account_id, email, name, created_at)
SELECT 'account-' || md5(n::text), 'user' || n || '@example.com', '用户' || n,
       '2026-01-01'::timestamptz + n * interval '1 second'
FROM generate_series(1, %s) AS n"""


@pytest.fixture
def bare(database_server: databases.TestServer) -> Iterator[str]:
    """A migrated database whose owner of tables may create no extension."""
    name = "without_extensions"
    superuser = database_server.postgres.superuser_url
    with psycopg.connect(superuser, autocommit=True) as maintenance:
        maintenance.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template1").format(sql.Identifier(name))
        )
        try:
            url = make_conninfo(superuser, dbname=name)
            with psycopg.connect(url, autocommit=True) as inside:
                inside.execute("GRANT ALL ON SCHEMA public TO mintage_owner")
                inside.execute(f"GRANT CONNECT ON DATABASE {name} TO mintage_owner, mintage_app")
            migrate(database_server.postgres.url("mintage_owner", name))
            yield database_server.postgres.url("mintage_app", name)
        finally:
            maintenance.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def has_index(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT to_regclass('profiles_searchable_idx')").fetchone()
    return row is not None and row[0] is not None


def check_search(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FILL.encode(), (PROFILES,))
        (found,) = search_accounts(connection, "USER12345@", limit=10)
        assert (found.email, found.name) == ("user12345@example.com", "用户12345")
        assert [a.name for a in search_accounts(connection, "用户777", limit=3)] == [
            "用户7779",
            "用户7778",
            "用户7777",
        ]
        newest = search_accounts(connection, None, limit=1)[0]
        assert newest.name == f"用户{PROFILES}"
        place = (newest.created_at, newest.id)
        assert search_accounts(connection, "", before=place, limit=1)[0].name == (
            f"用户{PROFILES - 1}"
        )


def test_a_rare_text_is_found_by_index(database: Database) -> None:
    assert has_index(database.url)
    check_search(database.url)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE profiles")
    with psycopg.connect(database.url, autocommit=True) as connection:
        before = _read(connection)
        assert len(search_accounts(connection, "ser12345", limit=10)) == 1
        assert _read(connection) - before < 200


def test_without_pg_trgm_the_same_is_found(bare: str) -> None:
    assert not has_index(bare)
    check_search(bare)


def test_reset_leaves_an_extension_of_its_own_role_alone(database: Database) -> None:
    # A superuser is a member of every role, the owner of the extension's functions included.
    urls = {"DATABASE_URL": database.url, "MIGRATION_DATABASE_URL": database.superuser_url}
    with psycopg.connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute("REASSIGN OWNED BY mintage_owner TO postgres")
    with databases.temporary_home() as home:
        done = mintage.run("reset", "--yes", home=home, **urls)
    assert "extension" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert has_index(database.url)


def _read(connection: psycopg.Connection) -> int:
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT pg_stat_clear_snapshot()")
    row = connection.execute(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'profiles'"
    ).fetchone()
    assert row is not None
    return int(row[0])
