"""No overspend: many at once, over two API processes, on one account."""

from collections import Counter
from pathlib import Path

import psycopg

import databases
import hammer
from stack import Stack

REQUESTS = 1_000
AFFORDABLE = 100


def test_a_thousand_at_once_spend_exactly_what_is_there(
    database: databases.Database, tmp_path: Path
) -> None:
    with Stack(database, tmp_path) as stack:
        stack.start_api(2)
        key = stack.open_account("ada", tokens=AFFORDABLE * 5)
        answers = hammer.post_all(
            [f"{url}/v1/generations" for url in stack.urls],
            {"prompt_id": "dreamy-forest"},
            {"Authorization": f"Bearer {key}"},
            count=REQUESTS,
        )
        statuses = Counter((answer.status, answer.body.get("code")) for answer in answers)
        assert statuses == {(202, None): 100, (402, "INSUFFICIENT_TOKENS"): 900}
        accepted = {answer.body["id"] for answer in answers if answer.status == 202}
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
        seconds = sorted(answer.seconds for answer in answers)
        print(f"p50 {seconds[500]:.2f} s, p99 {seconds[990]:.2f} s")
        assert seconds[990] < 30
