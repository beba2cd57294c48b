"""yoyo's runner, made safe against being killed half-way and against other processes.

Stock yoyo applies a migration on one connection and marks it on another afterwards: killed between
the two, it applies it again. It also guards itself with a row that a killed process leaves behind.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend

from ledger.migrate import CONNECT_SECONDS_MAX, TABLE, MigrationError

LOCK = 0x6D696E74  # "mint"; the log's writers use another number
LOCK_SECONDS_MAX = 60
STATEMENT_LOCK_SECONDS_MAX = 10

READABLE = f"""
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintage_app') THEN
        GRANT SELECT ON {TABLE} TO mintage_app;
    END IF;
END $$
"""


def apply(url: str, folder: Path) -> list[str]:
    """Apply what is pending, under the lock; names what was applied."""
    done = []
    with _Backend(url, TABLE) as backend:
        backend.take_lock()
        backend.ensure_internal_schema_updated()
        for migration in backend.to_apply(read_migrations(str(folder))):
            try:
                backend.apply_one(migration)
            except psycopg.Error as error:
                raise MigrationError(f"{migration.id}: {error}") from error
            done.append(str(migration.id))
        backend.execute(READABLE)
    return done


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    def connect(self, dburi: str) -> psycopg.Connection:
        # The URL goes to libpq whole: yoyo's own parser knows fewer forms.
        return psycopg.connect(dburi, autocommit=True, connect_timeout=CONNECT_SECONDS_MAX)

    def take_lock(self) -> None:
        try:
            self.execute(f"SET lock_timeout = '{LOCK_SECONDS_MAX}s'")
            self.execute(f"SELECT pg_advisory_lock({LOCK})")
        except psycopg.errors.LockNotAvailable:
            raise MigrationError(
                f"another process has been migrating for {LOCK_SECONDS_MAX} s"
            ) from None
        # A statement that waits for a busy table makes everyone queue behind it.
        self.execute(f"SET lock_timeout = '{STATEMENT_LOCK_SECONDS_MAX}s'")

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:  # noqa: ARG002 - yoyo's signature
        yield  # take_lock has done it

    def apply_one(self, migration: Any, force: bool = False, mark: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - yoyo's signature
        with self.transaction():
            migration.process_steps(self, "apply")
            self.mark_one(migration, log=False)

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        # With no parameters a % is just a %, as in RAISE EXCEPTION '… %'.
        return super().execute(sql, params) if params else self.connection.execute(sql)
