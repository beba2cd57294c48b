"""Who asks: accounts with tokens, keys and a page of images each; and how what they ask ends."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import psycopg
import uvloop

from api.accounts.keys import create_key
from api.bench import work
from api.bench.http.documents import IMAGES
from api.prompts import store as prompt_store
from api.seed import PROMPTS
from ledger.commands import (
    OpenAccount,
    ReleaseGeneration,
    RequestGeneration,
    SettleGeneration,
    Submission,
)
from ledger.decide import COUNT_MAX
from ledger.identity import new_id
from ledger.ledger import Ledger
from projections.advance import advance

AT_ONCE = 256
_OPEN = "SELECT account_id, id FROM generations WHERE outcome IS NULL"

T = TypeVar("T")


def prepare(url: str, accounts: int) -> list[str]:
    """The prompts, and for each account its key. Views are level afterwards."""
    account_ids = work.account_ids()[:accounts]
    ledger = Ledger(url)
    try:
        uvloop.run(_each(_draw(ledger, account_id) for account_id in account_ids))
    finally:
        ledger.close()
    with psycopg.connect(url, autocommit=True) as connection:
        for ident, text in PROMPTS.items():
            prompt_store.create(connection, ident, text, "bench")
        while advance(connection):
            pass
        with connection.transaction():
            return [
                create_key(connection, account_id, role="user", name="bench").key
                for account_id in account_ids
            ]


def end_all(url: str) -> int:
    """Give back what is held, by way of the process that writes for this host; tells how many."""
    with psycopg.connect(url, autocommit=True) as connection:
        while advance(connection):
            pass
        rows = connection.execute(_OPEN).fetchall()
        ledger = Ledger(url, shares_writer=True)
        try:
            uvloop.run(_each(_release(ledger, *row) for row in rows))
        finally:
            ledger.close()
        while advance(connection):
            pass
    return len(rows)


async def _each(work_of: Iterable[Coroutine[Any, Any, T]]) -> Sequence[T]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(work: Coroutine[Any, Any, T]) -> T:
        async with limit:
            return await work

    return await asyncio.gather(*map(one, work_of))


async def _draw(ledger: Ledger, account_id: str) -> None:
    opened = OpenAccount(account_id=account_id, is_member=False, tokens=work.TOKENS)
    await ledger.record_async(Submission(command=opened, actor="bench"))
    for _ in range(IMAGES // COUNT_MAX):
        ident = new_id()
        request = RequestGeneration(
            account_id=account_id,
            generation_id=ident,
            prompt=work.PROMPT,
            members_only=False,
            count=COUNT_MAX,
            aspect_ratio="1:1",
        )
        images = tuple(work.image(ident) for _ in range(COUNT_MAX))
        settle = SettleGeneration(account_id=account_id, generation_id=ident, images=images)
        await ledger.record_async(Submission(command=request, actor="bench"))
        await ledger.record_async(Submission(command=settle, actor="bench"))


async def _release(ledger: Ledger, account_id: str, ident: Any) -> None:
    release = ReleaseGeneration(
        account_id=account_id, generation_id=ident, reason="canceled", retryable=False
    )
    await ledger.record_async(Submission(command=release, actor="bench"))
