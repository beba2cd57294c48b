"""No overspend: many at once, over two API processes, on one account."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import httpx
import psycopg

import databases
from stack import Stack

REQUESTS = 1_000
AFFORDABLE = 100


async def _ask_all(urls: list[str], key: str) -> list[tuple[int, str, float]]:
    async def ask(client: httpx.AsyncClient) -> tuple[int, str, float]:
        began = time.monotonic()
        answer = await client.post("/v1/generations", json={"prompt_id": "dreamy-forest"})
        body = answer.json()
        return answer.status_code, body.get("code", body.get("id")), time.monotonic() - began

    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(base_url=urls[0], headers=headers, limits=limits, timeout=60) as one,
        httpx.AsyncClient(base_url=urls[1], headers=headers, limits=limits, timeout=60) as two,
    ):
        asked = (ask(two if number % 2 else one) for number in range(REQUESTS))
        return await asyncio.gather(*asked)


def test_a_thousand_at_once_spend_exactly_what_is_there(
    database: databases.Database, tmp_path: Path
) -> None:
    with Stack(database, tmp_path) as stack:
        stack.start_api(2)
        key = stack.open_account("ada", tokens=AFFORDABLE * 5)
        answers = asyncio.run(_ask_all(stack.urls, key))
        statuses = Counter((status, code if status != 202 else "") for status, code, _ in answers)
        assert statuses == {(202, ""): 100, (402, "INSUFFICIENT_TOKENS"): 900}
        accepted = {code for status, code, _ in answers if status == 202}
        with stack.client(key) as ada:
            balance = ada.get("/v1/balance").json()
            assert (balance["available"], balance["held"], balance["settled"]) == (0, 500, 500)
            listed: set[str] = set()
            cursor = ""
            for _ in range(10):
                page = ada.get(
                    "/v1/generations",
                    params={"limit": 100, "cursor": cursor} if cursor else {"limit": 100},
                ).json()
                listed |= {item["id"] for item in page["items"]}
                cursor = page["next_cursor"]
                if not cursor:
                    break
            assert listed == accepted  # none lost, none invented
        with psycopg.connect(database.url) as connection:
            lowest = connection.execute("SELECT min(settled - held) FROM ledger_events").fetchone()
            assert lowest == (0,)
        seconds = sorted(taken for _, _, taken in answers)
        print(f"p50 {seconds[500]:.2f} s, p99 {seconds[990]:.2f} s")
        assert seconds[990] < 10
