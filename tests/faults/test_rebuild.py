"""Rebuilding under traffic, killed again and again: nobody who uses the service notices."""

import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

import databases
import histories
import plain_views
from api.bench.history import ensure_history
from catalogue import shape
from projections import failures
from projections.advance import advance
from projections.views import VIEW_NAMES, VIEWS
from stack import SUPPORT, Stack, wait_until

EVENTS = 50_000
KILLS = 3
KILLS_LONG = 10
USERS = 4
PAUSE_SECONDS = 0.2  # so that four users ask twenty times a second
FILLED = """
SELECT coalesce(sum(upper(range) - lower(range)), 0)::bigint
FROM view_rebuilds, unnest(filled) AS range"""


@pytest.fixture
def stack(database: databases.Database, tmp_path: Path) -> Iterator[Stack]:
    ensure_history(database.owner_url, EVENTS)
    with psycopg.connect(database.url, autocommit=True) as connection:
        while advance(connection):
            pass
    with Stack(database, tmp_path) as running:
        running.start_api(2)
        running.start_projector()
        running.start_worker()
        yield running


class User:
    """Asks, and looks whether everything that was acknowledged to it is there."""

    def __init__(self, stack: Stack, number: int) -> None:
        self.name = f"user-{number}"
        self.key = stack.open_account(self.name, tokens=1_000_000)
        self.asked: list[str] = []
        self.requests = 0
        self.longest = 0.0
        self._number = number
        self._stack = stack

    def run(self, stop: threading.Event) -> None:
        with self._stack.client(self.key, api=self._number % 2) as client:
            while not stop.is_set():
                for step in (self._ask, self._generations, self._transactions, self._images):
                    began = time.monotonic()
                    step(client)
                    took = time.monotonic() - began
                    self.requests += 1
                    self.longest = max(self.longest, took)
                    stop.wait(max(0.0, PAUSE_SECONDS - took))

    def _ask(self, client: httpx.Client) -> None:
        answer = client.post("/v1/generations", json={"prompt_id": "dreamy-forest"})
        assert answer.status_code == 202, answer.text
        self.asked.append(answer.json()["id"])

    def _generations(self, client: httpx.Client) -> None:
        items = self._list(client, "generations")
        assert [item["id"] for item in items] == self.asked[-100:][::-1]

    def _transactions(self, client: httpx.Client) -> None:
        items = self._list(client, "transactions")
        balances = [item["balance"] for item in items]
        assert balances[0] == 1_000_000 - 5 * (len(items) - 1) or len(items) == 100
        assert all(later == earlier - 5 for later, earlier in itertools.pairwise(balances))

    def _images(self, client: httpx.Client) -> None:
        ended = [g for g in self._list(client, "generations") if g["status"] == "succeeded"]
        images = {image["generation_id"] for image in self._list(client, "images")}
        assert {g["id"] for g in ended} <= images or len(images) == 100

    def _list(self, client: httpx.Client, kind: str) -> list[dict[str, Any]]:
        answer = client.get(f"/v1/{kind}?limit=100")
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def begin(stack: Stack) -> "subprocess.Popen[bytes]":
    with (stack.home / "rebuild.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(SUPPORT / "small_rebuild.py"), "2000"],
            env=stack.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def filled(stack: Stack) -> int:
    with psycopg.connect(stack.database.url) as connection:
        row = connection.execute(FILLED).fetchone()
    return int(row[0]) if row else 0


def kill_at(stack: Stack, events: int, delay: float) -> bool:
    """Start a rebuild and kill it once that much is filled; False where it was quicker."""
    process = begin(stack)
    wait_until(lambda: process.poll() is not None or filled(stack) >= events, what="filling")
    time.sleep(delay)
    process.kill()
    return process.wait(60) == -9


@pytest.mark.parametrize("kills_min", [KILLS, pytest.param(KILLS_LONG, marks=pytest.mark.long)])
def test_a_rebuild_killed_again_and_again_under_traffic(stack: Stack, kills_min: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"kills of seed {seed}")
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    with psycopg.connect(stack.database.owner_url) as owner:
        before = {view: shape(owner, view) for view in VIEW_NAMES}
    users = [User(stack, number) for number in range(USERS)]
    stop = threading.Event()
    began = time.monotonic()
    with ThreadPoolExecutor(USERS) as threads:
        working = [threads.submit(user.run, stop) for user in users]
        try:
            kills = 0
            for point in sorted(chance.randrange(4 * EVENTS) for _ in range(kills_min)):
                kills += kill_at(stack, point, chance.random() * 0.2)
            # Those that were quicker than their killer began again from nothing.
            while kills < kills_min:
                kills += kill_at(stack, chance.randrange(4 * EVENTS), 0.0)
            last = begin(stack)
            assert last.wait(120) == 0, (stack.home / "rebuild.log").read_text()
        finally:
            stop.set()
        seconds = time.monotonic() - began
        for each in working:
            each.result(60)
    requests = sum(user.requests for user in users)
    longest = max(user.longest for user in users)
    print(f"{requests} requests in {seconds:.1f} s, {longest:.2f} s at most, {kills} kills")
    # Nobody is kept waiting for what takes this long.
    assert longest < seconds / 3
    with psycopg.connect(stack.database.owner_url, autocommit=True) as owner:
        wait_until(lambda: not _open(owner), what="the end of every generation", seconds=60)
        while advance(owner):
            pass
        assert failures.failures(owner) == []
        assert {view: shape(owner, view) for view in VIEW_NAMES} == before
        assert filled(stack) == 0
    found = plain_views.read_tables(stack.database.url)
    expected = plain_views.fold(histories.read_log(stack.database.url))
    for view in VIEWS:
        assert found[view.name] == expected[view.name], view.name


def _open(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM generations WHERE outcome IS NULL").fetchone()
    return int(row[0]) if row else 0
