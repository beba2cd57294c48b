"""What `make bench-peers` brings: whether it is there, and a database for each."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from ledger.embedded import EmbeddedPostgres
from ledger.embedded.roles import OWNER

FOLDER = Path(sys.prefix) / "bench-peers"
"""Where npm's packages are; ops/bench.sh puts them there."""

Needed = Callable[[], bool]


def python(module: str) -> Needed:
    """Whether a module from PyPI can be imported."""
    return lambda: find_spec(module) is not None


def npm(package: str) -> Needed:
    """Whether a package from npm is there."""
    return lambda: folder(package).is_dir()


def folder(package: str) -> Path:
    """A package's own folder."""
    return FOLDER / "node_modules" / package


def database(postgres: EmbeddedPostgres, name: str) -> str:
    """Make a database for one contender alone, and its owner's URL."""
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(OWNER)
            )
        )
    return postgres.url(OWNER, name)
