"""The usual way behind the same framework: a table with a tokens column, a transaction a request.

Each request looks its caller's key up. An acceptance is one transaction: key and balance locked in
one statement, price, balance, idempotency key, generation, commit. No rate limit.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
from litestar import Litestar, Request, get, post
from litestar.datastructures import State
from litestar.exceptions import ClientException, NotAuthorizedException
from litestar.params import JSONBody
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from api.bench import work
from api.bench.crud import make_tables
from api.bench.http.documents import IMAGES, PROMPTS, accepted, image_of
from api.credentials import key_hash
from api.generations.asked import GenerationBody
from api.http.cursors import Page
from api.http.schemas import Balance, Generation, Image
from api.launch.serving import prepared
from api.prompts.handlers import Prompt
from ledger.identity import new_id

_Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]

_TABLES = """
CREATE TABLE crud_api_keys (
    hash bytea PRIMARY KEY, account_id text NOT NULL REFERENCES crud_accounts,
    revoked_at timestamptz);
CREATE TABLE crud_prompts (
    id text PRIMARY KEY, title text NOT NULL, description text NOT NULL, category text NOT NULL,
    token_cost bigint NOT NULL, members_only boolean NOT NULL);
CREATE INDEX ON crud_images (account_id, id)"""
_MAKE_PROMPT = """
INSERT INTO crud_prompts
VALUES (%(id)s, %(title)s, %(description)s, %(category)s, %(token_cost)s, %(members_only)s)"""
_WHO = """
FROM crud_api_keys AS k JOIN crud_accounts AS a ON a.id = k.account_id
WHERE k.hash = %s AND k.revoked_at IS NULL"""
_LOCK = f"SELECT a.id, a.tokens - a.held {_WHO} FOR UPDATE OF a"
_PRICE = "SELECT title, token_cost FROM crud_prompts WHERE id = %s"
_HOLD = "UPDATE crud_accounts SET held = held + %s WHERE id = %s"
_KEY = "INSERT INTO crud_keys VALUES (%s, %s, %s)"
_GENERATION = "INSERT INTO crud_generations VALUES (%s, %s, %s, %s, 'queued')"
_BALANCE = f"SELECT a.id, a.tokens, a.held {_WHO}"
_ACCOUNT = f"SELECT a.id {_WHO}"
_PROMPTS = "SELECT *, members_only AS locked FROM crud_prompts ORDER BY id LIMIT 21"
_IMAGES = "SELECT data FROM crud_images WHERE account_id = %s ORDER BY id DESC LIMIT 21"
_SETTLE = """
WITH ended AS (
    UPDATE crud_generations SET status = 'succeeded' WHERE status = 'queued'
    RETURNING account_id, cost),
sums AS (SELECT account_id, sum(cost) AS cost FROM ended GROUP BY account_id)
UPDATE crud_accounts AS a SET tokens = tokens - cost, held = held - cost
FROM sums WHERE sums.account_id = a.id"""


def prepare(url: str, keys: Sequence[str]) -> None:
    """Tables, accounts with tokens and a page of images each, their keys, the prompts."""
    make_tables(url)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(_TABLES.encode())
        account_ids = work.account_ids()[: len(keys)]
        hashes = zip(map(key_hash, keys), account_ids, strict=True)
        cursor.executemany("INSERT INTO crud_api_keys VALUES (%s, %s)", list(hashes))
        cursor.executemany(_MAKE_PROMPT, list(map(msgspec.structs.asdict, PROMPTS.items)))
        with cursor.copy("COPY crud_images FROM STDIN") as copy:
            for account_id in account_ids * IMAGES:
                ident = new_id()
                image = image_of(work.image(ident), ident)
                data = msgspec.json.encode(image).decode()
                copy.write_row((image.id, ident, account_id, data))


def settle(connection: psycopg.Connection[Any]) -> None:
    """End what is open, so that balances last."""
    connection.execute(_SETTLE)


def crud() -> Litestar:
    """For uvicorn: over a pool of `work.POOL_SIZE` connections, statements prepared."""
    return prepared(_build)


def _build() -> Litestar:
    pool: _Pool = AsyncConnectionPool(
        os.environ["DATABASE_URL"],
        min_size=work.POOL_SIZE,
        max_size=work.POOL_SIZE,
        open=False,
        timeout=600,
    )

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        async with pool:
            await pool.wait()
            yield

    return Litestar(
        [_create, _balance, _list_prompts, _images],
        lifespan=[running],
        state=State({"pool": pool}),
        openapi_config=None,
        logging_config=None,
    )


@post("/v1/generations", status_code=202)
async def _create(
    request: Request[Any, Any, State], state: State, data: JSONBody[GenerationBody]
) -> Generation:
    pool: _Pool = state.pool
    ident = new_id()
    async with pool.connection() as connection:
        account_id, available = await _found(connection, _LOCK, request)
        cursor = await connection.execute(_PRICE, (data.prompt_id,))
        price = await cursor.fetchone()
        if price is None:
            raise ClientException("no such prompt", status_code=404)
        title, cost = price[0], price[1] * data.count
        if available < cost:
            raise ClientException("cannot pay", status_code=402)
        await connection.execute(_HOLD, (cost, account_id))
        await connection.execute(_KEY, (account_id, request.headers["Idempotency-Key"], ident))
        await connection.execute(_GENERATION, (ident, account_id, title, cost))
    return accepted(data, ident, account_id, title=title, cost=cost, available=available - cost)


@get("/v1/balance")
async def _balance(request: Request[Any, Any, State], state: State) -> Balance:
    pool: _Pool = state.pool
    async with pool.connection() as connection:
        account_id, tokens, held = await _found(connection, _BALANCE, request)
    return Balance(
        account_id=account_id,
        is_member=False,
        available=tokens - held,
        held=held,
        settled=tokens,
        position=1_000_000,
    )


@get("/v1/prompts")
async def _list_prompts(request: Request[Any, Any, State], state: State) -> Page[Prompt]:
    pool: _Pool = state.pool
    async with pool.connection() as connection:
        await _found(connection, _ACCOUNT, request)
        async with connection.cursor(row_factory=class_row(Prompt)) as cursor:
            return Page(await (await cursor.execute(_PROMPTS)).fetchall(), None)


@get("/v1/images")
async def _images(request: Request[Any, Any, State], state: State) -> Page[Image]:
    pool: _Pool = state.pool
    async with pool.connection() as connection:
        (account_id,) = await _found(connection, _ACCOUNT, request)
        cursor = await connection.execute(_IMAGES, (account_id,))
        images = [msgspec.convert(row[0], Image) for row in await cursor.fetchall()]
    return Page(images[:IMAGES], "a" * 60)


async def _found(
    connection: psycopg.AsyncConnection[Any], statement: str, request: Request[Any, Any, Any]
) -> tuple[Any, ...]:
    key = request.headers.get("Authorization", "").removeprefix("Bearer ")
    row: tuple[Any, ...] | None = await (
        await connection.execute(statement.encode(), (key_hash(key),))
    ).fetchone()
    if row is None:
        raise NotAuthorizedException
    return row
