"""The numbered SQL files as Alembic's revisions. Imported only where something is to be applied."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import psycopg
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionMap
from alembic.util import CommandError
from sqlalchemy import Connection, StaticPool, create_engine
from sqlalchemy.exc import DBAPIError

from ledger.migrate import MigrationError

GRANT = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintage_app') THEN
        GRANT SELECT ON alembic_version TO mintage_app;
    END IF;
END $$
"""


class SqlFiles(ScriptDirectory):
    """A script directory of plain SQL: each file is a revision, and follows the one before it."""

    def __init__(self, files: list[Path]) -> None:
        super().__init__(files[0].parent)
        self.revision_map = RevisionMap(lambda: list(_scripts(files)))


def upgrade(connection: psycopg.Connection, files: list[Path]) -> list[str]:
    """Apply `files` from the database's revision on, each with its mark in one transaction.

    Names what was applied; raises `MigrationError`. The connection is the caller's, before and
    after, and so is whatever lock its session holds.
    """
    directory = SqlFiles(files)
    begun: list[str] = []

    def steps(heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
        _execute(context.connection, GRANT)
        scripts = directory.iterate_revisions("head", heads, implicit_base=True)
        for script in reversed(list(scripts)):
            begun.append(script.revision)
            yield MigrationStep.upgrade_from_script(directory.revision_map, script)

    options = {"script": directory, "fn": steps, "transaction_per_migration": True}
    # The session that holds the lock is the one that migrates: both end together.
    connection.autocommit = False
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool
    )
    try:
        with engine.connect() as alchemy:
            context = MigrationContext.configure(alchemy, opts=options)
            context.run_migrations(connection=alchemy)
    except DBAPIError as error:
        place = begun[-1] if begun else "alembic_version"
        raise MigrationError(f"{place}: {error.orig}") from error.orig
    except CommandError as error:
        raise MigrationError(str(error)) from error
    return begun


def _scripts(files: list[Path]) -> Iterator[Script]:
    previous: str | None = None
    for file in files:
        module = ModuleType(file.stem)
        vars(module).update(down_revision=previous, upgrade=_upgrade(file))
        yield Script(module, file.stem, file)
        previous = file.stem


def _upgrade(file: Path) -> Callable[[Connection], None]:
    def upgrade(connection: Connection) -> None:
        _execute(connection, file.read_text(encoding="utf-8"))

    return upgrade


def _execute(connection: Connection | None, statements: str) -> None:
    assert connection is not None
    # Sent whole, without parameters: the server itself finds where each statement ends, and a
    # per cent sign or a colon stays what it is.
    connection.exec_driver_sql(statements, execution_options={"no_parameters": True}).close()
