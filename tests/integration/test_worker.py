"""The worker in this process, over a real database, with providers that misbehave."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest

import databases
from generation.folder import FolderStorage
from generation.provider import ImageRequest
from generation.room import Part
from generation.worker import VIEWS_CHANNEL, Worker
from generation.workshop import Limits
from histories import request
from ledger.commands import OpenAccount, Submission
from ledger.ledger import Ledger
from projections.advance import CHANNEL, advance

LEASE = "SELECT attempt, lease_until > clock_timestamp() FROM generation_leases"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Broken:
    """Breaks the port's promise: it raises what no provider may."""

    name = "broken"

    def __init__(self) -> None:
        self.calls = 0
        self.called = asyncio.Event()

    async def generate(self, _: ImageRequest, __: Part | None = None) -> NoReturn:
        self.calls += 1
        self.called.set()
        raise RuntimeError("no ProviderError")

    async def aclose(self) -> None:
        """Nothing to close."""


@pytest.fixture
def ledger(database: databases.Database) -> Iterator[Ledger]:
    with contextlib.closing(Ledger(database.url)) as running:
        opened = OpenAccount(account_id="ada", is_member=True, tokens=100)
        running.record(Submission(command=opened, actor="test"))
        running.record(Submission(command=request("ada"), actor="test"))
        yield running


def test_it_is_woken_on_the_channel_that_the_views_are_told_of() -> None:
    # Neither package may import the other.
    assert VIEWS_CHANNEL == CHANNEL


@pytest.mark.anyio
async def test_what_fails_unforeseen_is_not_tried_again_at_once(
    database: databases.Database, ledger: Ledger, tmp_path: Path
) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        advance(connection)
        connection.execute("""
            WITH asked AS (SELECT data -> 'prompt' AS prompt FROM ledger_events
                           WHERE topic = 'generation_requested:1'),
            made AS (INSERT INTO prompts (id, version)
                     SELECT prompt ->> 'id', (prompt ->> 'version')::int FROM asked
                     RETURNING id, version)
            INSERT INTO prompt_versions
            SELECT id, version, 'T', 'c', '', '', false, 5, 'test' FROM made""")
        provider = Broken()
        worker = Worker(
            url=database.url,
            ledger=ledger,
            provider=provider,
            storage=FolderStorage(tmp_path, base_url="", secret=bytes(16)),
            limits=Limits(attempts_max=10, lease_seconds=600, deadline_seconds=6000),
        )
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(60):
            await provider.called.wait()
        await asyncio.sleep(1)  # enough for dozens, were it claimed anew at once
        row = connection.execute(LEASE).fetchone()
        worker.stop()
        async with asyncio.timeout(60):
            await running
    assert provider.calls == 1
    assert row == (1, True)
