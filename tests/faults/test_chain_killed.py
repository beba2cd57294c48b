"""Chaining processes that are killed at any moment, two at a time, beside writers."""

import random
import subprocess
import sys
import time
from pathlib import Path

import plain_chain
from chained import connected, findings
from databases import Database
from ledger.chain.blocks import catch_up, chain_end
from ledger_running import running, wait_until
from ledger_samples import opening, plain
from ledger_writer import writing

EVENTS = 60_000
KILLS = 8
# What the projector's process runs, alone.
CHAIN = "import sys, threading; from ledger.chain.chainer import Chainer\n"
CHAIN += "Chainer(sys.argv[1], age_seconds=0).run(threading.Event())"
SOURCE = str(Path(__file__).parents[2] / "src")


def start(url: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", CHAIN, url]
    return subprocess.Popen(command, env={"PYTHONPATH": SOURCE}, stdout=subprocess.DEVNULL)


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    assert process.wait(60) == -9


def test_chainers_killed_at_any_moment_leave_whole_blocks(database: Database) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"moments of seed {seed}")
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    with running(database.url) as ledger:
        ledger.record(plain(opening("old", tokens=5)))
    plain_chain.tamper(
        database.superuser_url,
        "INSERT INTO ledger_events SELECT n, account_id, n, topic, at, actor, gen_random_uuid(),"
        " NULL, NULL, settled, held, data FROM ledger_events, generate_series(3, %s) AS n"
        " WHERE position = 2",
        EVENTS,
    )
    ends = []
    with (
        writing(database.url, processes=1, pause_seconds=0.01),
        connected(database.url) as watching,
    ):
        for _ in range(KILLS):
            begun = chain_end(watching).position
            pair = [start(database.url), start(database.url)]
            try:
                wait_until(lambda: chain_end(watching).position > begun, "a block")  # noqa: B023 - called at once
                time.sleep(chance.uniform(0, 0.1))
            finally:
                for process in pair:
                    kill(process)
            ends.append(chain_end(watching).position)
    assert ends == sorted(set(ends))
    with connected(database.url) as connection:
        assert catch_up(connection).unchained == 0
    assert findings(database.url) == []
