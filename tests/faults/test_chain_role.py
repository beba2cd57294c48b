"""The projector's process keeps both the views and the chain; neither holds the other up."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chained import connected, findings, grow
from databases import Database
from ledger.chain.blocks import chain_end
from ledger_running import running
from ledger_samples import opening, plain
from plain_chain import tamper
from projections.level import lag
from stack import Stack, wait_until

OLD = "UPDATE ledger_events SET at = at - interval '1 hour' WHERE position > %s"


@pytest.fixture
def stack(database: Database, tmp_path: Path) -> Iterator[Stack]:
    with Stack(database, tmp_path) as started:
        started.start_api()
        yield started


def readiness(stack: Stack) -> list[str]:
    with stack.client() as client:
        answer = client.get("/health/ready")
        failing: list[str] = answer.json().get("failing", [])
        assert (answer.status_code == 200) is (not failing)
        return failing


def unfolded(database: Database) -> int:
    with connected(database.url) as connection:
        return lag(connection)


def chain(database: Database) -> Any:
    with connected(database.url) as connection:
        return chain_end(connection)


def test_the_projector_chains_and_a_chain_that_stops_stops_nothing_else(
    stack: Stack, database: Database
) -> None:
    url = database.superuser_url
    grow(database, commands=100)
    tamper(url, OLD, 0)
    stack.start_projector()
    wait_until(lambda: chain(database).unchained == 0, what="the chain")
    wait_until(lambda: readiness(stack) == [], what="readiness")
    assert findings(database.url) == []

    end = chain(database).position
    grow(database, seed=2, commands=100)
    wait_until(lambda: unfolded(database) == 0, what="the views")
    tamper(url, "CREATE TABLE kept (LIKE ledger_events)")
    tamper(url, "INSERT INTO kept SELECT * FROM ledger_events WHERE position = %s", end + 3)
    tamper(url, "DELETE FROM ledger_events WHERE position = %s", end + 3)
    tamper(url, OLD, end)
    wait_until(lambda: readiness(stack) == ["chain"], what="the failure")
    with stack.client() as client:
        text = client.get("/metrics").text
    assert f"mintage_chain_lag_events {float(chain(database).unchained)}" in text
    with running(database.url) as ledger:
        ledger.record(plain(opening("zoe", tokens=5)))
    wait_until(lambda: unfolded(database) == 0, what="the views")
    assert chain(database).position == end

    tamper(url, "INSERT INTO ledger_events SELECT * FROM kept")
    wait_until(lambda: chain(database).position > end, what="the chain")
    wait_until(lambda: readiness(stack) == [], what="readiness")
    assert stack.kill("projector", signal.SIGTERM) == 0


@pytest.mark.alone
def test_the_views_are_not_held_up_by_a_long_chain_to_make(
    stack: Stack, database: Database
) -> None:
    url = database.superuser_url
    grow(database, commands=100)
    tamper(
        url,
        "INSERT INTO ledger_events SELECT n, 'old', n, topic, at - interval '1 hour', actor,"
        " gen_random_uuid(), NULL, NULL, settled, held, data"
        " FROM ledger_events, generate_series((SELECT max(position) + 1 FROM ledger_events),"
        " 200000) AS n WHERE position = 2",
    )
    tamper(url, "UPDATE view_positions SET position = 200000")
    stack.start_projector()
    wait_until(lambda: chain(database).block > 0, what="the first block")
    waits = []
    while (at := chain(database)).unchained > 8192:
        grow(database, seed=at.head, commands=5)
        started = time.monotonic()
        wait_until(lambda: unfolded(database) == 0, what="the views")
        waits.append(time.monotonic() - started)
    assert len(waits) >= 3
    print(f"views level after {sorted(waits)[len(waits) // 2]:.3f} s, {max(waits):.3f} s at most")
    assert max(waits) < 1.0
    assert findings(database.url) == []
