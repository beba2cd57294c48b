"""`mintage bench audit`: what support asks of a long log, beside a primary-key look-up."""

import random
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import psycopg

from api.bench.export import Exported, Exporter
from api.bench.history import LONG_ACCOUNT, ensure_history
from api.bench.report import name_of, number_of, publish
from api.bench.server import server, settings
from api.bench.whole_log import home_option
from api.console import json_option, tell
from projections.audit.balances import standing_at
from projections.audit.events import read_slice
from projections.audit.walks import Filter, walk

PAGE = 20
SAMPLES = 5_000
WARM_ROUNDS = 200
LOOK_UP = "one event by its primary key"
COLUMNS = (
    name_of("question", "question"),
    number_of("p50 ms", "p50_ms", ".2f"),
    number_of("p99 ms", "p99_ms", ".2f"),
    number_of("p99 is", "p99_times_look_up", ".1f", "×"),
)
CAPTION = "in turn in one run, the log read once before"

FORMATS = {"NDJSON": "application/x-ndjson", "CSV": "text/csv"}

# So that no question waits for a disk which another one need not wait for.
_WARM = "SELECT count(data) FROM ledger_events"
_ONE = "SELECT * FROM ledger_events WHERE account_id = %s AND version = %s"
_SAMPLE = """
SELECT account_id, version, at, (data->>'generation_id')::uuid FROM ledger_events
WHERE position = ANY (%s) AND data ? 'generation_id'"""


class Sample(NamedTuple):
    """An event to ask about."""

    account_id: str
    version: int
    at: datetime
    generation: Any


Question = Callable[[Sample], object]


@click.command("audit")
@click.option("--events", default=1_000_000, show_default=True, type=click.IntRange(50_000))
@click.option("--rounds", default=2_000, show_default=True, type=click.IntRange(100, 100_000))
@home_option
@click.option("--exports/--no-exports", default=True, help="Export the whole log too.")
@json_option
def audit(events: int, rounds: int, home: Path | None, *, exports: bool, as_json: bool) -> None:
    """Latencies of support's questions, in turn in one run, and the rate of an export."""
    with server(home) as postgres:
        tell(f"a log of {events:,} events …")
        ensure_history(postgres.migration_database_url, events)
        url = postgres.database_url
        found = settings(url)
        with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
            tell(f"{rounds:,} rounds of questions, after reading the log once …")
            connection.execute(_WARM)
            latencies = _ask(connection, events, rounds)
        exported = {}
        if exports:
            with closing(Exporter(url)) as exporter:
                for name, accept in FORMATS.items():
                    tell(f"the whole log as {name} …")
                    exported[name] = exporter.export(accept)
    found |= {"events": events, "rounds": rounds}
    report = {"settings": found, **_report(latencies, exported)}
    publish(report, COLUMNS, CAPTION, as_json=as_json)
    for done in [] if as_json else report["exports"]:
        tell(
            f"{done['format']}: {done['events']:,} events, {done['events_per_second']:,}/s, "
            f"the process {done['process_mb_before']} MB before, "
            f"{done['process_mb_peak']} MB at its peak"
        )


def _questions(connection: psycopg.Connection[Any], length: int) -> dict[str, Question]:
    def page(**asked: Any) -> object:
        found = walk(connection, Filter(**asked))
        return read_slice(connection, found, descending=True, limit=PAGE)

    def anywhere() -> int:
        return random.randrange(length)  # noqa: S311 - spreading load

    return {
        LOOK_UP: lambda s: connection.execute(_ONE, (s.account_id, s.version)).fetchone(),
        "a page of an account's log": lambda s: page(account=s.account_id),
        "of one of 10,000 events, anywhere": lambda _: page(
            account=LONG_ACCOUNT, before=anywhere()
        ),
        "a page by type, anywhere": lambda _: page(type="GenerationFailed", before=anywhere()),
        "by a type of every generation": lambda _: page(type="TokensConsumed", before=anywhere()),
        "by account and type": lambda s: page(account=s.account_id, type="GenerationFailed"),
        "by the long account and type": lambda _: page(
            account=LONG_ACCOUNT, type="TokensConsumed", before=anywhere()
        ),
        "by actor and type": lambda _: page(
            actor="admin:bench", type="TokensGranted", before=anywhere()
        ),
        "by actor alone, one window": lambda _: page(actor="nobody", before=anywhere()),
        "by generation": lambda s: page(generation=s.generation),
        "up to a time": lambda s: page(until=s.at),
        "a balance at a time, of 10,000 events": lambda s: standing_at(
            connection, LONG_ACCOUNT, at=s.at
        ),
    }


def _ask(connection: psycopg.Connection[Any], length: int, rounds: int) -> dict[str, list[float]]:
    # Of a generation each, and well behind the first accounts' openings.
    places = [random.randrange(length // 2, length) + 1 for _ in range(SAMPLES)]  # noqa: S311 - spreading load
    samples = [Sample(*row) for row in connection.execute(_SAMPLE, (places,))]
    questions = _questions(connection, length)
    latencies: dict[str, list[float]] = {name: [] for name in questions}
    for number in range(WARM_ROUNDS + rounds):
        for name, question in questions.items():
            sample = random.choice(samples)  # noqa: S311 - spreading load
            began = time.perf_counter()
            question(sample)
            if number >= WARM_ROUNDS:
                latencies[name].append(time.perf_counter() - began)
    return latencies


def _report(latencies: dict[str, list[float]], exports: dict[str, Exported]) -> dict[str, Any]:
    def at(name: str, part: float) -> float:
        return sorted(latencies[name])[int(len(latencies[name]) * part)] * 1000

    return {
        "results": [
            {
                "question": name,
                "p50_ms": round(at(name, 0.5), 3),
                "p99_ms": round(at(name, 0.99), 3),
                "p99_times_look_up": round(at(name, 0.99) / at(LOOK_UP, 0.99), 1),
            }
            for name in latencies
        ],
        "exports": [
            {
                "format": name,
                "events": done.events,
                "events_per_second": round(done.rate),
                "process_mb_before": round(done.mb_before),
                "process_mb_peak": round(done.mb_peak),
            }
            for name, done in exports.items()
        ],
    }
