"""`mintage bench http`: whole requests against real servers, beside the usual ways behind the same.

Keys and rate limits are on; whoever answers 202 has committed (but for those without a database).
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from api.bench import work
from api.bench.http import crud_app
from api.bench.http.accounts import prepare
from api.bench.http.asking import REQUESTS
from api.bench.http.field import field, rate_of
from api.bench.http.load import Loader
from api.bench.http.shown import CAPTION, COLUMNS, Results, plot, rows_of, words
from api.bench.options import Numbers, Words
from api.bench.plots import plot_option
from api.bench.report import Report, Row, publish
from api.bench.rounds import rounds_option
from api.bench.sampler import profile_option
from api.bench.server import server, settings
from api.console import json_option, tell

WARM_SECONDS = 1.0
PROFILE_SECONDS = 5.0


@click.command("http")
@click.option("--processes", default="1,2", show_default=True, type=Numbers(8))
@click.option(
    "--requests",
    "asked",
    default=",".join(REQUESTS),
    show_default=True,
    type=Words(REQUESTS),
)
@click.option("--accounts", default=1000, show_default=True, type=click.IntRange(1, work.ACCOUNTS))
@click.option("--clients", default=64, show_default=True, type=click.IntRange(1, 1000))
@click.option(
    "--loads",
    default="25,50,75,90",
    show_default=True,
    type=Numbers(200),
    help="Offered rates of the open loops, in percent of what a closed loop did.",
)
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.1, 60))
@rounds_option
@plot_option
@profile_option
@json_option
def http(
    *,
    processes: Sequence[int],
    asked: Sequence[str],
    accounts: int,
    clients: int,
    loads: Sequence[int],
    seconds: float,
    rounds: int,
    plots: Path | None,
    profile: Path | None,
    as_json: bool,
) -> None:
    """Requests a second and how long they take, everything in turn.

    Runs on a PostgreSQL of its own, with fsync and synchronous_commit on.
    """
    results: Results = {}
    parts: list[Row] = []
    with server() as postgres, ExitStack() as stack:
        measured_with = settings(postgres.migration_database_url)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mintage-bench-")))
        tell("making accounts, keys and images")
        keys = prepare(postgres.migration_database_url, accounts)
        crud_app.prepare(postgres.migration_database_url, keys)
        loader = stack.enter_context(Loader(keys))
        fields = [
            stack.enter_context(field(postgres, folder, loader, workers)) for workers in processes
        ]
        for each in fields:
            each.await_ready()
            each.warm(asked, clients, min(seconds, WARM_SECONDS))
        for number in range(rounds):
            for each in fields:
                for place, measured in each.round(number, asked, clients, loads, seconds):
                    results.setdefault(place, []).append(measured)
                    tell(
                        f"round {number + 1}/{rounds}  {words(place)}  {rate_of(measured):>9,.0f}/s"
                    )
        if profile is not None:
            parts = fields[0].parts(profile, clients, max(seconds, PROFILE_SECONDS))
    shown = measured_with | {"rounds": rounds, "seconds": seconds, "clients": clients}
    report: Report = {"settings": shown, "results": rows_of(results), "parts": parts}
    publish(report, COLUMNS, CAPTION, as_json=as_json, ends=lambda row: row["contender"] == "bare")
    for part in [] if as_json else parts:
        tell(f"{part['part']:<45} {part['percent']:5.1f} %  {part['us']:6.1f} µs a request")
    if plots is not None:
        plot(results, plots)
