"""Numbered SQL files, each applied once: what is pending is one quick query."""

from pathlib import Path

import psycopg

MIGRATIONS = Path(__file__).parent / "migrations"
CONNECT_SECONDS_MAX = 10
LOCK = 0x6D696E74  # "mint"; the log's writers use another number
LOCK_SECONDS_MAX = 60
STATEMENT_LOCK_SECONDS_MAX = 10

TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintage_app') THEN
        GRANT SELECT ON schema_migration TO mintage_app;
    END IF;
END $$
"""


class MigrationError(Exception):
    """A migration could not be applied; names it, and the database's reason."""


def pending(url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Name the migrations of `folder` that the database has not had, in order. Changes nothing.

    Any role that may connect may ask. Those that the database has had and `folder` does not know
    are left out of account: a newer version may be there already.
    """
    with _connect(url) as connection:
        return _pending(connection, folder)


def migrate(url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is pending, each file in one transaction of its own, and name what was applied.

    `url` is for the role that owns the tables, and must lead to the server itself or a pooler in
    session mode: a session's lock lets one process at a time do this, others wait up to 60 s. A
    file that fails leaves nothing behind and raises `MigrationError`; those before it stay.
    """
    with _connect(url) as connection:
        if not _pending(connection, folder):
            return []
        _lock(connection)
        connection.execute(TABLE)
        names = _pending(connection, folder)
        for name in names:
            _apply(connection, name, (folder / f"{name}.sql").read_bytes())
    return names


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS_MAX)


def _pending(connection: psycopg.Connection, folder: Path) -> list[str]:
    names = sorted(path.stem for path in folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    if not names:
        raise MigrationError(f"no migrations in {folder}")
    found = connection.execute("SELECT to_regclass('schema_migration') IS NOT NULL").fetchone()
    if found == (False,):
        return names
    applied = {name for (name,) in connection.execute("SELECT name FROM schema_migration")}
    return [name for name in names if name not in applied]


def _lock(connection: psycopg.Connection) -> None:
    try:
        connection.execute(f"SET lock_timeout = '{LOCK_SECONDS_MAX}s'")
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    except psycopg.errors.LockNotAvailable:
        raise MigrationError(
            f"another process has been migrating for {LOCK_SECONDS_MAX} s"
        ) from None
    # A statement that waits for a busy table makes everyone else queue behind it.
    connection.execute(f"SET lock_timeout = '{STATEMENT_LOCK_SECONDS_MAX}s'")


def _apply(connection: psycopg.Connection, name: str, statements: bytes) -> None:
    try:
        with connection.transaction():
            # Sent whole, without parameters: the server itself finds where each statement ends.
            connection.execute(statements)
            connection.execute("INSERT INTO schema_migration (name) VALUES (%s)", [name])
    except psycopg.Error as error:
        raise MigrationError(f"{name}: {error}") from error
