"""`mintage bench rebuild`: every view made anew, beside reading the log in other ways."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psycopg
from psycopg import sql
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from api.bench.history import EVENTS_MIN, ensure_history
from api.bench.memory import Watch
from api.bench.server import server, settings
from api.console import json_option, print_json, tell
from ledger.codec import decode_entry
from projections.rebuild import Rebuild
from projections.rebuild.filling import RANGE
from projections.views import VIEWS, View

OURS = "rebuild, all views"
DECODING = "read and decode"
BALANCES = "balances by ranges"
_COPY = "COPY (SELECT * FROM ledger_events ORDER BY position) TO STDOUT"
_GROUP_BY = """
SELECT max(version), max(position), max(settled) FROM (
    SELECT account_id, max(version) AS version, max(position) AS position, sum(settled) AS settled
    FROM ledger_events GROUP BY account_id) AS grouped"""
_JSON = "COPY (SELECT row_to_json(e)::text FROM ledger_events AS e ORDER BY position) TO STDOUT"
_SCRATCH = "bench_scratch"


@click.command("rebuild")
@click.option("--events", default=2_000_000, show_default=True, type=click.IntRange(EVENTS_MIN))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100))
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for the log, kept for the next time: 10 million events take minutes to make.",
)
@json_option
def rebuild(events: int, rounds: int, home: Path | None, *, as_json: bool) -> None:
    """Events a second of a whole rebuild, everything in turn.

    Runs on a PostgreSQL of its own, with fsync and synchronous_commit on.
    """
    with server(home) as postgres:
        url = postgres.migration_database_url
        tell(f"making a log of {events:,} events")
        ensure_history(url, events)
        entrants: dict[str, Callable[[str], None]] = {
            OURS: _rebuild,
            BALANCES: lambda url: _ranges(url, VIEWS[0], events),
            DECODING: decode_all,
            "COPY TO": _copy,
            "GROUP BY": _group_by,
        }
        runs: dict[str, list[tuple[float, int, int]]] = {name: [] for name in entrants}
        names = list(entrants)
        for number in range(rounds):
            first = number % len(names)
            for name in [*names[first:], *names[:first]]:
                with Watch(postgres.server_pid) as watch:
                    began = time.perf_counter()
                    entrants[name](url)
                    rate = events / (time.perf_counter() - began)
                runs[name].append((rate, watch.client_bytes, watch.server_bytes))
                tell(f"round {number + 1}/{rounds}  {name:<20} {rate:>12,.0f}/s")
        report = _report(runs, settings(url) | {"events": events, "rounds": rounds})
    if as_json:
        print_json(report)
    else:
        _print(report)


def _rebuild(url: str) -> None:
    Rebuild(url, VIEWS, restart=True).run()


def _ranges(url: str, view: View, events: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        table = sql.Identifier(_SCRATCH)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        like = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)")
        connection.execute(like.format(table, sql.Identifier(view.name)))
        for after in range(0, events, RANGE):
            with connection.transaction():
                view.fold(connection, after, min(events, after + RANGE), _SCRATCH)
        connection.execute(sql.SQL("DROP TABLE {}").format(table))


def decode_all(url: str) -> None:
    """Read the whole log and decode every fact of it."""
    with psycopg.connect(url) as connection, connection.cursor().copy(_JSON.encode()) as copy:
        copy.set_types(["text"])
        for row in copy.rows():
            decode_entry(row[0])


def _copy(url: str) -> None:
    with psycopg.connect(url) as connection, connection.cursor().copy(_COPY.encode()) as copy:
        for _ in copy:
            pass


def _group_by(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(_GROUP_BY.encode())


def _report(runs: dict[str, list[tuple[float, int, int]]], shown: dict[str, Any]) -> dict[str, Any]:
    """Medians over the rounds; a ratio is the median of the rounds' own ratios."""
    ours = [rate for rate, _, _ in runs[OURS]]
    return {
        "settings": shown,
        "results": [
            {
                "contender": name,
                "rate": round(statistics.median(rates)),
                "rate_min": round(min(rates)),
                "rate_max": round(max(rates)),
                "rebuild_is_times": round(
                    statistics.median(a / b for a, b in zip(ours, rates, strict=True)), 3
                ),
                "client_mb": round(max(client for _, client, _ in measured) / 1e6, 1),
                "server_private_mb": round(max(inside for _, _, inside in measured) / 1e6, 1),
            }
            for name, measured in runs.items()
            for rates in ([rate for rate, _, _ in measured],)
        ],
    }


def _print(report: dict[str, Any]) -> None:
    console = Console()
    shown = report["settings"]
    console.print("  ".join(f"{name} {value}" for name, value in shown.items()), highlight=False)
    caption = "medians, in turn; MB the most seen, PG MB the server's beside its buffers"
    table = Table(box=SIMPLE, caption=caption)
    for column in ("contender", "events/s", "min–max", "rebuild is", "MB", "PG MB"):
        left = column == "contender"
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for row in report["results"]:
        table.add_row(
            row["contender"],
            f"{row['rate']:,}",
            f"{row['rate_min']:,}–{row['rate_max']:,}",
            f"{row['rebuild_is_times']:.2f}×",
            f"{row['client_mb']:,.0f}",
            f"{row['server_private_mb']:,.0f}",
        )
    console.print(table)
