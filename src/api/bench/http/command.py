"""`mintage bench http`: whole requests against real servers, beside the usual ways behind the same.

Keys and rate limits are on; whoever answers 202 has committed (but for those without a database).
"""

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import psycopg

from api.bench import figures, work
from api.bench.http import crud_app
from api.bench.http.accounts import end_all, prepare
from api.bench.http.asking import ACCEPT, REQUESTS
from api.bench.http.load import Load, Loaded, Loader, WrongAnswerError
from api.bench.http.site import MINTAGE, OTHERS, Site, site
from api.bench.options import Numbers, Words
from api.bench.plots import Curve, draw, plot_option
from api.bench.processes import cpu_seconds, tree
from api.bench.report import Report, name_of, number_of, publish, spread_of
from api.bench.rounds import in_turn, rounds_option
from api.bench.server import server, settings
from api.console import json_option, tell
from ledger.embedded import EmbeddedPostgres

RATE_PER_MINUTE = "100000"
"""The most that can be set: looked at in every request, and nobody is refused."""

OPEN_CONNECTIONS = 256
"""Of an open loop: more than are ever under way while a server keeps up."""

WARM_SECONDS = 1.0

COLUMNS = (
    number_of("processes", "processes"),
    name_of("request", "request"),
    name_of("load", "load"),
    name_of("contender", "contender"),
    number_of("/s", "rate"),
    spread_of("min–max", "rate"),
    number_of("mintage is", "mintage_is_times", ".2f", "×"),
    number_of("p50 ms", "p50_ms", ",.2f"),
    number_of("p99 ms", "p99_ms", ",.1f"),
    number_of("/s and core", "rate_per_core"),
    number_of("API µs", "api_cpu_us"),
    number_of("PG µs", "postgres_cpu_us"),
    number_of("load µs", "load_cpu_us"),
)
CAPTION = (
    "medians, in turn; open loops at shares of the contender's own closed loop, latencies from "
    "when a request was due; µs of processor time a request, of the API, of PostgreSQL, of the load"
)


class Measured(NamedTuple):
    """One load of one server, with the processor seconds of its processes and of PostgreSQL."""

    loaded: Loaded
    api_cpu_seconds: float
    postgres_cpu_seconds: float


class Place(NamedTuple):
    """Where a figure belongs. `percent` None is a closed loop."""

    workers: int
    what: str
    percent: int | None
    name: str


Results = dict[Place, list[Measured]]


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
    as_json: bool,
) -> None:
    """Requests a second and how long they take, everything in turn.

    Runs on a PostgreSQL of its own, with fsync and synchronous_commit on.
    """
    results: Results = {}
    with server() as postgres, ExitStack() as stack:
        measured_with = settings(postgres.migration_database_url)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mintage-bench-")))
        tell("making accounts, keys and images")
        keys = prepare(postgres.migration_database_url, accounts)
        crud_app.prepare(postgres.migration_database_url, keys)
        loader = stack.enter_context(Loader(keys))
        fields = [
            stack.enter_context(_field(postgres, folder, loader, workers)) for workers in processes
        ]
        for field in fields:
            field.await_ready()
            field.warm(asked, clients, min(seconds, WARM_SECONDS))
        for number in range(rounds):
            for field in fields:
                for place, measured in field.round(number, asked, clients, loads, seconds):
                    results.setdefault(place, []).append(measured)
                    tell(
                        f"round {number + 1}/{rounds}  {_words(place)}  {_rate(measured):>9,.0f}/s"
                    )
    shown = measured_with | {"rounds": rounds, "seconds": seconds, "clients": clients}
    report: Report = {"settings": shown, "results": _rows(results)}
    publish(report, COLUMNS, CAPTION, as_json=as_json, ends=lambda row: row["contender"] == "bare")
    if plots is not None:
        _plot(results, plots)


class _Field:
    """All contenders with one number of processes, over a database of their own."""

    def __init__(
        self,
        postgres: EmbeddedPostgres,
        url: str,
        loader: Loader,
        sites: Sequence[Site],
    ) -> None:
        self._postgres = postgres
        self._url = url
        self._loader = loader
        self._sites = sites

    def await_ready(self) -> None:
        """Return once all have started."""
        for each in self._sites:
            each.await_ready()

    def warm(self, asked: Sequence[str], clients: int, seconds: float) -> None:
        """Plans, caches, and who writes for the others."""
        for each in self._sites:
            for what in {ACCEPT, *asked}:
                self._measure(each, what, clients, seconds)
        self._end_all()

    def round(
        self, number: int, asked: Sequence[str], clients: int, loads: Sequence[int], seconds: float
    ) -> Iterator[tuple[Place, Measured]]:
        """Every figure once."""
        capacity = {}
        for what in asked:
            for each in in_turn(self._sites, number):
                if each.name == "echo" and what != ACCEPT:
                    continue
                measured = self._measure(each, what, clients, seconds)
                yield Place(each.workers, what, None, each.name), measured
                if what == ACCEPT:
                    capacity[each] = _rate(measured)
            self._end_all()
        for percent in loads if ACCEPT in asked else ():
            for each in in_turn(self._sites, number):
                if each.name == "echo":
                    continue
                rate = capacity[each] * percent / 100
                measured = self._measure(each, ACCEPT, OPEN_CONNECTIONS, seconds, rate)
                yield Place(each.workers, ACCEPT, percent, each.name), measured
            self._end_all()

    def _measure(
        self, each: Site, what: str, connections: int, seconds: float, rate: float | None = None
    ) -> Measured:
        load = Load(
            port=each.port,
            what=what,
            connections=connections,
            seconds=seconds,
            rate=rate,
        )
        api, postgres = each.cpu_seconds, self._postgres_seconds()
        try:
            loaded = self._loader.run(load)
        except WrongAnswerError as error:
            raise click.ClickException(f"{each.name}: {error}") from None
        return Measured(loaded, each.cpu_seconds - api, self._postgres_seconds() - postgres)

    def _postgres_seconds(self) -> float:
        return sum(map(cpu_seconds, tree(self._postgres.server_pid)))

    def _end_all(self) -> None:
        """An account keeps few open, as in use; and the tokens last."""
        end_all(self._url)
        with psycopg.connect(self._url) as connection:
            crud_app.settle(connection)


@contextmanager
def _field(
    postgres: EmbeddedPostgres, folder: Path, loader: Loader, workers: int
) -> Iterator[_Field]:
    database = f"bench_{workers}"
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database} TEMPLATE mintage".encode())
    owner, application = (postgres.url(role, database) for role in ("mintage_owner", "mintage_app"))
    with ExitStack() as stack:
        limit = {"RATE_LIMIT_GENERATIONS_PER_MINUTE": RATE_PER_MINUTE}
        sites = [
            stack.enter_context(site(MINTAGE, application, folder, workers=workers, **limit)),
            *(stack.enter_context(site(name, owner, folder, workers=workers)) for name in OTHERS),
        ]
        yield _Field(postgres, owner, loader, sites)


def _rate(measured: Measured) -> float:
    return measured.loaded.rate


def _words(place: Place) -> str:
    return (
        f"{place.workers} × {place.name:<8} {place.what:<20} "
        f"{'closed' if place.percent is None else f'open {place.percent} %':<10}"
    )


def _rows(results: Results) -> list[dict[str, Any]]:
    rows = []
    for place, measured in sorted(results.items(), key=lambda item: _order(item[0])):
        ours = results[place._replace(name=MINTAGE)]
        rates = list(map(_rate, measured))
        rows.append(
            {
                "processes": place.workers,
                "request": place.what,
                "load": "closed" if place.percent is None else f"open {place.percent} %",
                "contender": place.name,
                **figures.spread(rates, "rate"),
                # An open loop does what it is offered: there is nothing to compare.
                "mintage_is_times": figures.ratio(list(map(_rate, ours)), rates)
                if place.percent is None
                else None,
                **_latencies(measured),
                **_costs(measured),
            }
        )
    return rows


def _order(place: Place) -> tuple[int, int, int, int]:
    names = [MINTAGE, *OTHERS]
    return (
        place.workers,
        REQUESTS.index(place.what),
        place.percent or 0,
        names.index(place.name),
    )


def _latencies(measured: Sequence[Measured]) -> dict[str, float]:
    return {
        name: round(statistics.median(getattr(each.loaded, name) for each in measured), 2)
        for name in ("p50_ms", "p99_ms", "late_p99_ms")
    }


def _costs(measured: Sequence[Measured]) -> dict[str, float]:
    def microseconds(seconds: Sequence[float]) -> float:
        pairs = zip(seconds, measured, strict=True)
        return round(statistics.median(s / each.loaded.answered for s, each in pairs) * 1e6, 1)

    api = [each.api_cpu_seconds for each in measured]
    postgres = [each.postgres_cpu_seconds for each in measured]
    both = microseconds([a + b for a, b in zip(api, postgres, strict=True)])
    return {
        "rate_per_core": round(1e6 / both) if both else 0,
        "api_cpu_us": microseconds(api),
        "postgres_cpu_us": microseconds(postgres),
        "load_cpu_us": microseconds([each.loaded.cpu_seconds for each in measured]),
    }


def _plot(results: Results, folder: Path) -> None:
    opened = {place: runs for place, runs in results.items() if place.percent is not None}
    for workers in sorted({place.workers for place in opened}):
        for share in ("p50", "p99"):
            curves = []
            for name in (MINTAGE, *OTHERS):
                points: dict[float, Sequence[float]] = {
                    round(statistics.median(map(_rate, runs))): [
                        getattr(each.loaded, f"{share}_ms") for each in runs
                    ]
                    for place, runs in opened.items()
                    if (place.workers, place.name) == (workers, name)
                }
                if points:
                    curves.append(Curve(name, points))
            draw(
                folder / f"http-{workers}-{share}.svg",
                curves,
                title=f"{ACCEPT}, {workers} API process{'es' if workers > 1 else ''}",
                x="offered requests a second",
                y=f"{share}, ms from when it was due",
                log_y=True,
            )
