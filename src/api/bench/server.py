"""A PostgreSQL of the benchmark's own, and what it and the machine are set to."""

import os
import platform
import tempfile
from collections.abc import Iterator
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
    "shared_buffers",
)


@contextmanager
def server(home: Path | None = None) -> Iterator[EmbeddedPostgres]:
    """A migrated server: in `home`, which stays, or in a folder that goes with it."""
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
        with EmbeddedPostgres.start(home) as postgres:
            migrate(postgres.migration_database_url)
            yield postgres
        return
    with tempfile.TemporaryDirectory(prefix="mintage-bench-") as made:
        folder = Path(made)
        with EmbeddedPostgres.start(folder) as postgres:
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
