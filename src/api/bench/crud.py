"""The usual way: a table with a tokens column, changed in a transaction."""

from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from api.bench import work
from api.bench.callers import Run, Step, measure, run
from ledger.identity import new_id

_TABLES = """
CREATE TABLE crud_accounts (id text PRIMARY KEY, tokens bigint NOT NULL, held bigint NOT NULL);
CREATE TABLE crud_generations (
    id uuid PRIMARY KEY, account_id text NOT NULL REFERENCES crud_accounts, prompt text NOT NULL,
    cost bigint NOT NULL, status text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE crud_keys (
    account_id text NOT NULL, key text NOT NULL, generation_id uuid NOT NULL,
    PRIMARY KEY (account_id, key));
CREATE TABLE crud_images (
    id uuid PRIMARY KEY, generation_id uuid NOT NULL, account_id text NOT NULL,
    data jsonb NOT NULL);
CREATE TABLE crud_transactions (
    id bigserial PRIMARY KEY, account_id text NOT NULL, amount bigint NOT NULL,
    balance bigint NOT NULL, generation_id uuid, created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON crud_transactions (account_id, id)"""
_ACCOUNTS = "INSERT INTO crud_accounts SELECT unnest(%s::text[]), %s, 0"


def make_tables(url: str) -> None:
    """Tables and accounts, where they are not there yet."""
    with psycopg.connect(url, autocommit=True) as connection:
        (made,) = connection.execute("SELECT to_regclass('crud_accounts')").fetchone() or (None,)
        if made is None:
            connection.execute(_TABLES.encode())
            connection.execute(_ACCOUNTS, (work.account_ids(), work.TOKENS))


class Crud:
    """A table with a tokens column: SELECT … FOR UPDATE, update, two inserts, a commit a step."""

    def __init__(self, url: str) -> None:
        self._url = url
        make_tables(url)

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Over a pool of async connections, statements prepared."""

        async def main() -> Run:
            pool: _Pool = AsyncConnectionPool(
                self._url, min_size=work.POOL_SIZE, max_size=work.POOL_SIZE, open=False, timeout=600
            )
            async with pool:
                await pool.wait()

                def pair() -> tuple[Step, Step]:
                    account_id, generation_id = pick(), new_id()
                    return (
                        lambda: _crud_request(pool, account_id, generation_id),
                        lambda: _crud_settle(pool, account_id, generation_id),
                    )

                return await measure(pair, callers=callers, seconds=seconds)

        return run(main())

    def close(self) -> None:
        """Nothing is kept between runs."""


_Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]


async def _crud_request(pool: _Pool, account_id: str, generation_id: UUID) -> None:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT tokens, held FROM crud_accounts WHERE id = %s FOR UPDATE", (account_id,)
        )
        row = await cursor.fetchone()
        if row is None or row[0] - row[1] < work.PROMPT.token_cost:
            raise ValueError("cannot pay")
        await connection.execute(
            "UPDATE crud_accounts SET held = held + %s WHERE id = %s",
            (work.PROMPT.token_cost, account_id),
        )
        await connection.execute(
            "INSERT INTO crud_keys VALUES (%s, %s, %s)",
            (account_id, str(generation_id), generation_id),
        )
        await connection.execute(
            "INSERT INTO crud_generations VALUES (%s, %s, %s, %s, 'queued')",
            (generation_id, account_id, work.PROMPT.title, work.PROMPT.token_cost),
        )


async def _crud_settle(pool: _Pool, account_id: str, generation_id: UUID) -> None:
    cost = work.PROMPT.token_cost
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT tokens, held FROM crud_accounts WHERE id = %s FOR UPDATE", (account_id,)
        )
        row = await cursor.fetchone()
        if row is None:
            raise ValueError("no account")
        await connection.execute(
            "UPDATE crud_accounts SET tokens = tokens - %s, held = held - %s WHERE id = %s",
            (cost, cost, account_id),
        )
        await connection.execute(
            "INSERT INTO crud_images VALUES (%s, %s, %s, %s)",
            (
                new_id(),
                generation_id,
                account_id,
                msgspec.json.encode(work.image(generation_id)).decode(),
            ),
        )
        await connection.execute(
            "INSERT INTO crud_transactions (account_id, amount, balance, generation_id) "
            "VALUES (%s, %s, %s, %s)",
            (account_id, -cost, row[0] - cost, generation_id),
        )
