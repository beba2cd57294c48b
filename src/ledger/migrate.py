"""Numbered SQL files, each applied once by Alembic: what is pending is one quick query."""

import re
from pathlib import Path

import psycopg

MIGRATIONS = Path(__file__).parent / "migrations"
# The name is the revision, and what Alembic writes into the 32 characters of its version table.
NAME = re.compile(r"(\d{4})_[a-z0-9_]{1,27}")
CONNECT_SECONDS_MAX = 10
LOCK = 0x6D696E74  # "mint"; the log's writers use another number
LOCK_SECONDS_MAX = 60
STATEMENT_LOCK_SECONDS_MAX = 10


class MigrationError(Exception):
    """A migration could not be applied; names it, and the database's reason."""


def pending(url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Name the migrations of `folder` that the database has not had, in order. Changes nothing.

    Any role that may connect may ask. A database that is ahead of `folder` has nothing pending: a
    newer version is there already. One that is on another line raises `MigrationError`.
    """
    files = _files(folder)
    with _connect(url) as connection:
        return [file.stem for file in _pending(connection, files)]


def migrate(url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is pending, each file in one transaction of its own, and name what was applied.

    `url` is for the role that owns the tables, and must lead to the server itself or a pooler in
    session mode: a session's lock lets one process at a time do this, others wait up to 60 s. A
    file that fails leaves nothing behind and raises `MigrationError`; those before it stay.
    """
    files = _files(folder)
    with _connect(url) as connection:
        if not _pending(connection, files):
            return []
        _lock(connection)
        if not _pending(connection, files):
            return []
        from ledger.revisions import upgrade  # noqa: PLC0415 - Alembic is a second of imports

        return upgrade(connection, files)


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS_MAX)


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.sql"))
    if not files:
        raise MigrationError(f"no migrations in {folder}")
    for number, file in enumerate(files, start=1):
        found = NAME.fullmatch(file.stem)
        # A file that came late, between others, would be passed over where those have been applied.
        if found is None or int(found[1]) != number:
            raise MigrationError(f"{file.name} is not {number:04}_a_name.sql, of 32 characters")
    return files


def _pending(connection: psycopg.Connection, files: list[Path]) -> list[Path]:
    found = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    if found == (False,):
        return files
    row = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
    if row is None or row[0] is None:
        return files
    current = str(row[0])
    ahead = NAME.fullmatch(current)
    if ahead is not None and int(ahead[1]) > len(files):
        return []
    names = [file.stem for file in files]
    if current not in names:
        raise MigrationError(f"the database is at {current}, which is not among the migrations")
    return files[names.index(current) + 1 :]


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
