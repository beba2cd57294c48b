"""`mintage bench ledger`: request and settle steps a second, beside the usual ways."""

import itertools
import math
import statistics
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol

import click

from api.bench import figures, work
from api.bench.callers import Run
from api.bench.crud import Crud
from api.bench.library import PlainLibrary
from api.bench.ours import GroupCommitter
from api.bench.pgbench import PgBench
from api.bench.report import name_of, number_of, publish, spread_of
from api.bench.rounds import in_turn, rounds_option
from api.bench.server import server, settings
from api.console import json_option, tell
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


COLUMNS = (
    number_of("callers", "callers"),
    name_of("contender", "contender"),
    number_of("steps/s", "rate"),
    spread_of("min–max", "rate"),
    number_of("p99 ms", "p99_ms", ",.1f"),
    number_of("mintage is", "mintage_is_times", ".1f", "×"),
)

Results = dict[int, dict[str, list[Run]]]


@click.command("ledger")
@click.option("--callers", default="1,16,64,256,1000", show_default=True, help="Callers at once.")
@rounds_option
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.1, 60))
@json_option
def ledger(callers: str, rounds: int, seconds: float, *, as_json: bool) -> None:
    """Steps a second (a request, or its settlement, each durable), everything in turn.

    Runs on a PostgreSQL of its own, with fsync and synchronous_commit on.
    """
    counts = [int(count) for count in callers.split(",")]
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
            for count, entrant in itertools.product(counts, in_turn(entrants, number)):
                measured = entrant.contender.measure(entrant.pick, callers=count, seconds=seconds)
                results[count][entrant.label].append(measured)
                tell(
                    f"round {number + 1}/{rounds}  {count:>5} callers  "
                    f"{entrant.label:<18} {measured.rate:>9,.0f}/s"
                )
    report = _report(results, measured_with | {"rounds": rounds, "seconds": seconds})
    publish(
        report,
        COLUMNS,
        f"medians of {rounds} rounds of {seconds} s, in turn",
        as_json=as_json,
        ends=lambda row: row["contender"].startswith("pgbench"),
    )


def _report(results: Results, shown: dict[str, Any]) -> dict[str, Any]:
    table = []
    for callers, runs in results.items():
        for label, measured in runs.items():
            mine = runs["mintage, hot" if "hot" in label else "mintage, uniform"]
            rates = [run.rate for run in measured]
            table.append(
                {
                    "callers": callers,
                    "contender": label,
                    **figures.spread(rates, "rate"),
                    "p50_ms": round(statistics.median(run.p50 for run in measured), 2),
                    # pgbench tells averages only.
                    "p99_ms": None
                    if math.isnan(measured[0].p99)
                    else round(statistics.median(run.p99 for run in measured), 2),
                    "mintage_is_times": figures.ratio([run.rate for run in mine], rates),
                }
            )
    return {"settings": shown, "results": table}
