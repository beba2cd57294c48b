"""Logs with a chain over them, short enough to read and long enough to have blocks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from databases import Database
from histories import History
from ledger.chain.blocks import ChainEnd, advance, chain_end
from ledger.chain.checking import check
from ledger.chain.findings import Broken
from ledger_running import running


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def grow(database: Database, *, seed: int = 7, commands: int = 60) -> None:
    with running(database.url) as ledger:
        History(ledger, seed).write(commands)


def grow_blocks(database: Database, *, blocks: int = 3, commands: int = 60) -> ChainEnd:
    """Write a history and close a block, so often; a random one, of a fixed seed."""
    for number in range(blocks):
        grow(database, seed=number, commands=commands)
        with connected(database.url) as connection:
            assert advance(connection, age_seconds=0) > 0
    with connected(database.url) as connection:
        return chain_end(connection)


def findings(url: str) -> list[Broken]:
    with connected(url) as connection:
        return list(check(connection))
