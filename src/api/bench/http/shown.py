"""How what was measured is shown: the table, a line for each figure, and the curves."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from api.bench import figures
from api.bench.http.asking import ACCEPT, REQUESTS
from api.bench.http.field import Measured, Place, rate_of
from api.bench.http.site import MINTAGE, OTHERS
from api.bench.plots import Curve, draw
from api.bench.report import name_of, number_of, spread_of

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

Results = dict[Place, list[Measured]]
"""All of it, a figure for each round."""


def words(place: Place) -> str:
    """The place, for a line that tells how far it is."""
    return (
        f"{place.workers} × {place.name:<8} {place.what:<20} "
        f"{'closed' if place.percent is None else f'open {place.percent} %':<10}"
    )


def rows_of(results: Results) -> list[dict[str, Any]]:
    """The table: medians, and beside each contender how many times as much ours does."""
    rows = []
    for place, measured in sorted(results.items(), key=lambda item: _order(item[0])):
        ours = results[place._replace(name=MINTAGE)]
        rates = list(map(rate_of, measured))
        rows.append(
            {
                "processes": place.workers,
                "request": place.what,
                "load": "closed" if place.percent is None else f"open {place.percent} %",
                "contender": place.name,
                **figures.spread(rates, "rate"),
                # An open loop does what it is offered: there is nothing to compare.
                "mintage_is_times": figures.ratio(list(map(rate_of, ours)), rates)
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


def plot(results: Results, folder: Path) -> None:
    """Latency over the offered rate, a picture for each number of processes and share."""
    opened = {place: runs for place, runs in results.items() if place.percent is not None}
    for workers in sorted({place.workers for place in opened}):
        for share in ("p50", "p99"):
            curves = []
            for name in (MINTAGE, *OTHERS):
                points: dict[float, Sequence[float]] = {
                    round(statistics.median(map(rate_of, runs))): [
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
