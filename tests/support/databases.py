"""One real server for a test run, a migrated template in it, and a clone of that for each test."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql

from ledger.embedded import EmbeddedPostgres, HomeInUseError, remove
from ledger.migrate import migrate

TEMPLATE = "template_mintage"
PREFIX = "mintage-test-"
MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp's names are not to be guessed
MEMORY_BYTES_MIN = 3_000_000_000
UNUSED_SECONDS_MIN = 1800  # a home of another run may have no server between two of its tests

# Off in tests only: nothing here outlives the run, and no test cuts the power. The figures that the
# benchmark states are measured with both on.
TEST_SETTINGS = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "5min"}


class Database(NamedTuple):
    """A database of a test's own, migrated and empty."""

    url: str
    owner_url: str
    superuser_url: str
    name: str


class TestServer:
    """The server, and the databases cloned in it."""

    __test__ = False

    def __init__(self, postgres: EmbeddedPostgres, maintenance: psycopg.Connection) -> None:
        self.postgres = postgres
        self._numbers = count(1)
        self._maintenance = maintenance
        self._create(TEMPLATE, "template1")
        migrate(postgres.url("mintage_owner", TEMPLATE))

    @contextlib.contextmanager
    def database(self, *, like: Database | None = None) -> Iterator[Database]:
        """Clone the template, or `like`, which nobody may be connected to.

        Dropped afterwards, whoever is still connected.
        """
        name = f"test_{next(self._numbers)}"
        self._create(name, like.name if like else TEMPLATE)
        try:
            yield Database(
                url=self.postgres.url("mintage_app", name),
                owner_url=self.postgres.url("mintage_owner", name),
                superuser_url=self.postgres.url("postgres", name),
                name=name,
            )
        finally:
            self._maintenance.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def _create(self, name: str, template: str) -> None:
        self._maintenance.execute(
            # Half the time of the usual way, which logs each page of the template.
            sql.SQL("CREATE DATABASE {} OWNER mintage_owner TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )


@contextlib.contextmanager
def temporary_home() -> Iterator[Path]:
    """Make a home that an unprivileged server can reach; pytest's own folders are closed to it.

    In memory where there is room: on a disk a server takes twice as long to be made, and far longer
    while others write there.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=memory_folder()))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        if (folder / "postgres").exists():
            remove(folder)
        shutil.rmtree(folder)


def memory_folder() -> Path | None:
    """Where a clone takes 15 ms: on a disk its 300 files can take 300. None if there is no room.

    Nor is it of use where no program may be run: the server's may have to be copied into a home.
    """
    if not MEMORY.is_dir() or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN else None


def clear_killed_runs(base: Path) -> None:
    """Delete the homes of runs that were killed: they would fill the memory."""
    for home in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, HomeInUseError):
            old = home.stat().st_mtime < time.time() - UNUSED_SECONDS_MIN
            if old and (home / "postgres").exists():
                remove(home)
                shutil.rmtree(home)


@contextlib.contextmanager
def running_server() -> Iterator[TestServer]:
    """Start a server in a home of its own, stopped and deleted afterwards."""
    if (memory := memory_folder()) is not None:
        clear_killed_runs(memory)
    with (
        temporary_home() as home,
        EmbeddedPostgres.start(home, settings=TEST_SETTINGS) as postgres,
        psycopg.connect(postgres.superuser_url, autocommit=True) as maintenance,
    ):
        yield TestServer(postgres, maintenance)
