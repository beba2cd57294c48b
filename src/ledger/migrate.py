"""Numbered SQL files, each applied once. What is pending is one quick query; yoyo does the rest."""

from pathlib import Path

import psycopg
from psycopg import sql

MIGRATIONS = Path(__file__).parent / "migrations"
TABLE = "schema_migration"
CONNECT_SECONDS_MAX = 10


class MigrationError(Exception):
    """A migration could not be applied; names it, and the database's reason."""


def pending(url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Name the migrations of `folder` that the database has not had, in order. Changes nothing.

    Any role that may connect may ask. Those that the database has had and `folder` does not know
    are left out of account: a newer version may be there already.
    """
    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS_MAX) as connection:
        applied = _applied(connection)
    return [name for name in _names(folder) if name not in applied]


def migrate(url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is pending, each file in one transaction of its own, and name what was applied.

    `url` is for the role that owns the tables, and must lead to the server itself or a pooler in
    session mode: a session's lock lets one process at a time do this, others wait up to 60 s. A
    file that fails leaves nothing behind and raises `MigrationError`.
    """
    if not pending(url, folder):
        return []
    from ledger.migrate_yoyo import apply  # noqa: PLC0415 - 0.1 s that a start seldom needs

    return apply(url, folder)


def _names(folder: Path) -> list[str]:
    names = sorted(path.stem for path in folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    if not names:
        raise MigrationError(f"no migrations in {folder}")
    return names


def _applied(connection: psycopg.Connection) -> set[str]:
    found = connection.execute("SELECT to_regclass(%s)", [TABLE]).fetchone()
    if found is None or found[0] is None:
        return set()
    rows = connection.execute(sql.SQL("SELECT migration_id FROM {}").format(sql.Identifier(TABLE)))
    return {name for (name,) in rows}
