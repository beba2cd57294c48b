"""COPY of rows like ours: how fast PostgreSQL takes them in when nobody waits for any of them."""

import itertools
import time
from collections.abc import Iterator
from uuid import uuid4

import msgspec
import psycopg

from api.bench import work
from api.bench.callers import Run
from ledger.embedded import EmbeddedPostgres
from ledger.identity import new_id

ROWS = 5_000
"""Rows a commit."""


class Copying:
    """The upper bound: no callers, no decisions, thousands of rows a commit, the same indexes."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._url = postgres.migration_database_url
        self._numbers = itertools.count(1)
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("CREATE TABLE copy_log (LIKE ledger_events INCLUDING ALL)")

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Until COPY and COMMIT alone have taken `seconds`; making the rows is not counted."""
        del callers
        spent: list[float] = []
        with psycopg.connect(self._url) as connection:
            while sum(spent) < seconds:
                block = "".join(self._rows(pick)).encode()
                began = time.perf_counter()
                with connection.cursor().copy("COPY copy_log FROM STDIN") as copy:
                    copy.write(block)
                connection.commit()
                spent.append(time.perf_counter() - began)
        return Run(rate=len(spent) * ROWS / sum(spent), p50=float("nan"), p99=float("nan"))

    def _rows(self, pick: work.PickAccount) -> Iterator[str]:
        cost = work.PROMPT.token_cost
        for number in itertools.islice(self._numbers, ROWS):
            generation_id = new_id()
            data = {"generation_id": generation_id, "cost": cost}
            if number % 2:
                topic, key_id = "generation_requested:1", str(uuid4())
                fact = {**data, "prompt": work.PROMPT, "count": 1, "aspect_ratio": "1:1"}
            else:
                topic, key_id = "tokens_consumed:1", r"\N"
                fact = {**data, "images": [work.image(generation_id)], "attempts": []}
            row = (
                *(str(number), pick(), str(number), topic, "now", "bench"),
                *(str(generation_id), key_id, key_id, "5", "5"),
                msgspec.json.encode(fact).decode(),
            )
            yield "\t".join(row) + "\n"

    def close(self) -> None:
        """Nothing is kept between runs."""
