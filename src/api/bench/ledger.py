"""`mintage bench ledger`: request and settle steps a second, beside the usual ways."""

import json
import math
import statistics
import sys
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from api.bench import work
from api.bench.callers import Run
from api.bench.crud import Crud
from api.bench.library import PlainLibrary
from api.bench.ours import GroupCommitter
from api.bench.pgbench import PgBench
from api.bench.server import server, settings
from api.launch.collecting import collect_seldom


class Contender(Protocol):
    """One way to do the work."""

    name: str

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Request and settle for `seconds`."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class Entrant(NamedTuple):
    """A contender under one distribution of accounts."""

    label: str
    contender: Contender
    pick: work.PickAccount


Results = dict[int, dict[str, list[Run]]]


@click.command("ledger")
@click.option("--callers", default="1,16,64,256,1000", show_default=True, help="Callers at once.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 100))
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.1, 60))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def ledger(callers: str, rounds: int, seconds: float, *, as_json: bool) -> None:
    """Steps a second (a request, or its settlement, each durable), everything in turn.

    Runs on a PostgreSQL of its own, with fsync and synchronous_commit on.
    """
    counts = [int(count) for count in callers.split(",")]
    progress = Console(stderr=True)
    with server() as postgres, ExitStack() as stack:
        url = postgres.migration_database_url
        measured_with = settings(url)
        ours = GroupCommitter(url)
        stack.callback(ours.close)
        crud = Crud(url)
        library = PlainLibrary(url)
        stack.callback(library.close)
        pgbench = PgBench(url)
        entrants = [
            Entrant("mintage, uniform", ours, work.uniform),
            Entrant("CRUD, uniform", crud, work.uniform),
            Entrant("mintage, hot", ours, work.hot),
            Entrant("CRUD, hot", crud, work.hot),
            Entrant("plain save()", library, work.uniform),
            Entrant("pgbench INSERT", pgbench, work.uniform),
        ]
        results: Results = {count: {e.label: [] for e in entrants} for count in counts}
        for entrant in entrants:  # warm: plans, caches, imports
            entrant.contender.measure(entrant.pick, callers=counts[0], seconds=0.5)
        collect_seldom()  # as the serving processes do; every contender has the good of it
        for number in range(rounds):
            for count in counts:
                # Another first each time: a contender leaves the server work to do after it.
                first = number % len(entrants)
                for entrant in [*entrants[first:], *entrants[:first]]:
                    measured = entrant.contender.measure(
                        entrant.pick, callers=count, seconds=seconds
                    )
                    results[count][entrant.label].append(measured)
                    progress.print(
                        f"round {number + 1}/{rounds}  {count:>5} callers  "
                        f"{entrant.label:<18} {measured.rate:>9,.0f}/s",
                        highlight=False,
                    )
    report = _report(results, measured_with, rounds=rounds, seconds=seconds)
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    else:
        _print(report)


def _report(
    results: Results, measured_with: dict[str, Any], *, rounds: int, seconds: float
) -> dict[str, Any]:
    """Medians over the rounds; a ratio is the median of the rounds' own ratios."""
    table = []
    for callers, runs in results.items():
        for label, measured in runs.items():
            mine = runs["mintage, hot" if "hot" in label else "mintage, uniform"]
            rates = [run.rate for run in measured]
            table.append(
                {
                    "callers": callers,
                    "contender": label,
                    "rate": round(statistics.median(rates)),
                    "rate_min": round(min(rates)),
                    "rate_max": round(max(rates)),
                    "p50_ms": round(statistics.median(run.p50 for run in measured), 2),
                    # pgbench tells averages only.
                    "p99_ms": None
                    if math.isnan(measured[0].p99)
                    else round(statistics.median(run.p99 for run in measured), 2),
                    "mintage_is_times": round(
                        statistics.median(
                            a.rate / b.rate for a, b in zip(mine, measured, strict=True)
                        ),
                        2,
                    ),
                }
            )
    return {"settings": measured_with, "rounds": rounds, "seconds": seconds, "results": table}


def _print(report: dict[str, Any]) -> None:
    console = Console()
    shown = "  ".join(f"{name} {value}" for name, value in report["settings"].items())
    console.print(shown, highlight=False)
    table = Table(
        caption=f"medians of {report['rounds']} rounds of {report['seconds']} s, in turn",
        box=SIMPLE,
    )
    for column in ("callers", "contender", "steps/s", "min–max", "p99 ms", "mintage is"):
        left = column == "contender"
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for row in report["results"]:
        table.add_row(
            str(row["callers"]),
            row["contender"],
            f"{row['rate']:,}",
            f"{row['rate_min']:,}–{row['rate_max']:,}",
            "" if row["p99_ms"] is None else f"{row['p99_ms']:.1f}",
            f"{row['mintage_is_times']:.1f}×",
            end_section=row["contender"].startswith("pgbench"),
        )
    console.print(table)
