"""What PostgreSQL did in a while, statement by statement, by its own extension."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

PRELOADED = {"shared_preload_libraries": "pg_stat_statements"}
"""The setting that a server has to be started with."""

SHOWN_MAX = 20
CHARACTERS_MAX = 200

# Without what the benchmark itself asks for in between.
_TOP = """
SELECT calls, rows, mean_exec_time * 1000, total_exec_time, shared_blks_hit, shared_blks_read,
    wal_bytes, query
FROM pg_stat_statements JOIN pg_database AS d ON d.oid = dbid
WHERE datname = current_database() AND query NOT LIKE '%%pg_stat_statements%%'
ORDER BY total_exec_time DESC LIMIT %s"""
_HEAD = "   calls      rows   mean us   total ms  pages hit  read     WAL kB  statement"


@contextmanager
def statements(url: str, path: Path) -> Iterator[None]:
    """Write what is run inside, the longest in sum first. `url` is for a superuser."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute("SELECT pg_stat_statements_reset()")
        yield
        rows = connection.execute(_TOP, (SHOWN_MAX,)).fetchall()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([_HEAD, *map(_line, rows), ""]), encoding="utf-8")


def _line(row: tuple[Any, ...]) -> str:
    calls, rows, mean, total, hit, read, wal, query = row
    words = re.sub(r"\s+", " ", query).strip()[:CHARACTERS_MAX]
    return (
        f"{calls:>8,}{rows:>10,}{mean:>10,.1f}{total:>11,.1f}"
        f"{hit:>11,}{read:>6,}{wal / 1000:>11,.0f}  {words}"
    )
