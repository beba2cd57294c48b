"""Why the chain stands still: written down where every process sees it, readiness above all."""

from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row

_RECORD = b"""
INSERT INTO chain_failure AS f (position, problem) VALUES (%s, %s)
ON CONFLICT (sole) DO UPDATE SET position = EXCLUDED.position, problem = EXCLUDED.problem"""


class ChainFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The chain stands still at `position` since `failed_at`, for this reason."""

    position: int
    problem: str
    failed_at: datetime


def failure(connection: psycopg.Connection[Any]) -> ChainFailure | None:
    """What stops the chain, as any process has found; None when all is well."""
    with connection.cursor(row_factory=class_row(ChainFailure)) as cursor:
        return cursor.execute("SELECT position, problem, failed_at FROM chain_failure").fetchone()


def record(connection: psycopg.Connection[Any], position: int, problem: str) -> None:
    """Write down that the chain cannot move on from `position`."""
    connection.execute(_RECORD, (position, problem))


def clear(connection: psycopg.Connection[Any]) -> None:
    """Forget a failure: the chain has moved."""
    connection.execute("DELETE FROM chain_failure")
