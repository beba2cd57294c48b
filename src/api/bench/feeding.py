"""Generations asked for, so that a worker never lacks work: recorded, without HTTP."""

import asyncio
import threading
from types import TracebackType
from typing import Any, Self

import psycopg
import uvloop

from api.bench import work
from ledger.commands import OpenAccount, RequestGeneration, Submission
from ledger.identity import new_id
from ledger.ledger import Ledger

LOOK_SECONDS = 0.05
ACCOUNTS_AT_ONCE = 256
_PROMPT = """
WITH made AS (INSERT INTO prompts (id, version) VALUES (%(id)s, 1))
INSERT INTO prompt_versions
    (prompt_id, version, title, content, description, category, members_only, token_cost, actor)
VALUES (%(id)s, 1, %(title)s, 'A quiet, misty forest', '', '', false, %(cost)s, 'bench')"""
_ENDED = """
SELECT coalesce(max(position), %(after)s), count(*) FILTER (WHERE topic = 'tokens_consumed:1'),
    count(*) FILTER (WHERE topic = 'generation_failed:1')
FROM ledger_events WHERE position > %(after)s"""


def prepare(url: str) -> None:
    """The prompt, and the accounts with tokens enough."""
    prompt = work.PROMPT
    with psycopg.connect(url, autocommit=True) as connection:
        values = {"id": prompt.id, "title": prompt.title, "cost": prompt.token_cost}
        connection.execute(_PROMPT, values)
    ledger = Ledger(url)

    async def open_all() -> None:
        limit = asyncio.Semaphore(ACCOUNTS_AT_ONCE)

        async def open_one(account_id: str) -> None:
            command = OpenAccount(account_id=account_id, is_member=False, tokens=work.TOKENS)
            async with limit:
                await ledger.record_async(Submission(command=command, actor="bench"))

        await asyncio.gather(*map(open_one, work.account_ids()))

    try:
        uvloop.run(open_all())
    finally:
        ledger.close()


class Feeder:
    """Keeps `open_max` generations open, from a thread of its own; counts how they end."""

    def __init__(self, url: str, open_max: int) -> None:
        self._url = url
        self._open_max = open_max
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)
        self.asked = 0
        self.succeeded = 0
        self.failed = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        uvloop.run(self._feed())

    async def _feed(self) -> None:
        ledger = Ledger(self._url, shares_writer=True)
        try:
            with psycopg.connect(self._url, autocommit=True) as connection:
                position = ledger.head()
                while not self._stop.is_set():
                    position = self._look(connection, position)
                    missing = self._open_max - (self.asked - self.succeeded - self.failed)
                    await asyncio.gather(*(_ask(ledger) for _ in range(missing)))
                    self.asked += max(missing, 0)
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            ledger.close()

    def _look(self, connection: psycopg.Connection[Any], after: int) -> int:
        row = connection.execute(_ENDED, {"after": after}).fetchone()
        assert row is not None
        self.succeeded += row[1]
        self.failed += row[2]
        return int(row[0])


async def _ask(ledger: Ledger) -> None:
    command = RequestGeneration(
        account_id=work.uniform(),
        generation_id=new_id(),
        prompt=work.PROMPT,
        members_only=False,
        count=1,
        aspect_ratio="1:1",
    )
    await ledger.record_async(Submission(command=command, actor="bench"))
