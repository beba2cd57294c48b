"""A PostgreSQL of the benchmark's own, and what it and the machine are set to."""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from ledger.embedded import EmbeddedPostgres, remove
from ledger.migrate import migrate

_SHOWN = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "wal_sync_method",
    "commit_delay",
    "commit_siblings",
    "shared_buffers",
)

COMMITS = 50
"""How many are timed one after another."""


@contextmanager
def server(
    home: Path | None = None, *, settings: Mapping[str, str] | None = None
) -> Iterator[EmbeddedPostgres]:
    """A migrated server: in `home`, which stays, or in a folder that goes with it.

    `settings` are PostgreSQL's own.
    """
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
        with EmbeddedPostgres.start(home, settings=settings) as postgres:
            migrate(postgres.migration_database_url)
            yield postgres
        return
    with tempfile.TemporaryDirectory(prefix="mintage-bench-") as made:
        folder = Path(made)
        with EmbeddedPostgres.start(folder, settings=settings) as postgres:
            migrate(postgres.migration_database_url)
            yield postgres
        remove(folder)


def settings(url: str) -> dict[str, Any]:
    """What a figure has to be read with."""
    with psycopg.connect(url, autocommit=True) as connection:
        shown = {name: connection.execute(f"SHOW {name}".encode()).fetchone() for name in _SHOWN}
    return {name: row[0] if row else None for name, row in shown.items()} | {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "began": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def flush_setting(milliseconds: float) -> dict[str, str]:
    """What lets each flush take so much longer: whoever flushes waits first, whoever else is there.

    `one_commit_ms` shows what it really comes to.
    """
    if not milliseconds:
        return {}
    return {"commit_delay": str(round(milliseconds * 1000)), "commit_siblings": "0"}


def one_commit_ms(url: str) -> float:
    """What one durable INSERT takes, alone: the median of some; `url` is for the owner's role."""
    spent = []
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        connection.execute("CREATE TABLE bench_commits (number bigint)")
        for number in range(COMMITS):
            began = time.perf_counter()
            connection.execute("INSERT INTO bench_commits VALUES (%s)", (number,))
            spent.append(time.perf_counter() - began)
        connection.execute("DROP TABLE bench_commits")
    return round(statistics.median(spent) * 1000, 2)
