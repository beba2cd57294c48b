"""`mintage bench verify`: the whole log folded and compared, beside reading and decoding it."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psycopg
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from api.bench.history import EVENTS_MIN, ensure_history
from api.bench.memory import Watch
from api.bench.rebuild import DECODING, decode_all
from api.bench.server import server, settings
from api.console import json_option, print_json, tell
from ledger.chain.blocks import catch_up
from projections.advance import advance
from projections.verify.chain import check_chain
from projections.verify.verification import Verification

OURS = "verify, one process"


@click.command("verify")
@click.option("--events", default=2_000_000, show_default=True, type=click.IntRange(EVENTS_MIN))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100))
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for the log, kept for the next time: 10 million events take minutes to make.",
)
@json_option
def verify(events: int, rounds: int, home: Path | None, *, as_json: bool) -> None:
    """Events a second of a whole verification, everything in turn.

    Runs on a PostgreSQL of its own, with fsync and synchronous_commit on.
    """
    with server(home) as postgres:
        url = postgres.migration_database_url
        tell(f"making a log of {events:,} events, its views and its chain")
        ensure_history(url, events)
        with psycopg.connect(url, autocommit=True) as connection:
            while advance(connection, limit=100_000):
                pass
            catch_up(connection)
        entrants: dict[str, Callable[[str], None]] = {
            OURS: _verify,
            "verify, two processes": lambda url: _verify(url, processes=2),
            "the chain alone": _chain,
            DECODING: decode_all,
        }
        runs: dict[str, list[tuple[float, int]]] = {name: [] for name in entrants}
        names = list(entrants)
        for number in range(rounds):
            first = number % len(names)
            for name in [*names[first:], *names[:first]]:
                with Watch(postgres.server_pid) as watch:
                    began = time.perf_counter()
                    entrants[name](url)
                    rate = events / (time.perf_counter() - began)
                runs[name].append((rate, watch.client_bytes))
                tell(f"round {number + 1}/{rounds}  {name:<24} {rate:>12,.0f}/s")
        report = _report(runs, settings(url) | {"events": events, "rounds": rounds})
    if as_json:
        print_json(report)
    else:
        _print(report)


def _verify(url: str, *, processes: int = 1) -> None:
    verification = Verification(url, processes=processes)
    findings = list(verification.run())
    assert not findings, findings[:3]
    assert verification.report.status == "ok", verification.report.incomplete


def _chain(url: str) -> None:
    verification = Verification(url, views=[])
    with psycopg.connect(url) as connection:
        assert not list(check_chain(connection, verification.report))


def _report(runs: dict[str, list[tuple[float, int]]], shown: dict[str, Any]) -> dict[str, Any]:
    """Medians over the rounds; a ratio is the median of the rounds' own ratios."""
    decoding = [rate for rate, _ in runs[DECODING]]
    return {
        "settings": shown,
        "results": [
            {
                "contender": name,
                "rate": round(statistics.median(rates)),
                "rate_min": round(min(rates)),
                "rate_max": round(max(rates)),
                "of_decoding": round(
                    statistics.median(a / b for a, b in zip(rates, decoding, strict=True)), 3
                ),
                "client_mb": round(max(client for _, client in measured) / 1e6, 1),
            }
            for name, measured in runs.items()
            for rates in ([rate for rate, _ in measured],)
        ],
    }


def _print(report: dict[str, Any]) -> None:
    console = Console()
    shown = report["settings"]
    console.print("  ".join(f"{name} {value}" for name, value in shown.items()), highlight=False)
    table = Table(box=SIMPLE, caption="medians, in turn; memory of the first process")
    for column in ("contender", "events/s", "min–max", "of decoding", "MB"):
        left = column == "contender"
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for row in report["results"]:
        table.add_row(
            row["contender"],
            f"{row['rate']:,}",
            f"{row['rate_min']:,}–{row['rate_max']:,}",
            f"{row['of_decoding']:.2f}×",
            f"{row['client_mb']:,.0f}",
        )
    console.print(table)
