"""What the ledger's benchmark says of the steps that were measured: a table, JSON, curves."""

import math
import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from api.bench import figures, plots
from api.bench.callers import Run
from api.bench.contenders import OURS
from api.bench.report import name_of, number_of, publish, spread_of


class Key(NamedTuple):
    """Who was measured: a contender, its accounts where it minds, its writing processes."""

    contender: str
    distribution: str | None
    processes: int | None = None

    @property
    def label(self) -> str:
        """For people."""
        return ", ".join(filter(None, (self.contender, self.distribution)))


Measured = dict[int, dict[Key, list[Run]]]
"""By callers, by contender: a run a round."""

COLUMNS = (
    number_of("callers", "callers"),
    name_of("contender", "label"),
    number_of("steps/s", "rate"),
    spread_of("min–max", "rate"),
    number_of("p99 ms", "p99_ms", ",.1f"),
    number_of("of mean", "p99_times_mean", ".1f", "×"),
    number_of("failed", "failed"),
    number_of("mintage is", "mintage_is_times", ".1f", "×"),
    number_of("of 1 process", "of_one_process", ".2f", "×"),
)
CAPTION = (
    "medians, in turn; of mean: p99 over callers ÷ rate; failed: steps whose caller got an error"
)


def publish_steps(measured: Measured, shown: dict[str, Any], *, as_json: bool) -> None:
    """Print it all."""
    rows = [
        _row(callers, key, runs, by_key)
        for callers, by_key in measured.items()
        for key, runs in by_key.items()
    ]
    last = {id(row) for row, after in pairwise(rows) if row["callers"] != after["callers"]}
    publish(
        {"settings": shown, "results": rows},
        COLUMNS,
        CAPTION,
        as_json=as_json,
        ends=lambda row: id(row) in last,
    )


def draw_rates(measured: Measured, folder: Path, name: str) -> None:
    """Steps a second over callers, a curve a contender."""
    keys = dict.fromkeys(key for by_key in measured.values() for key in by_key)
    curves = [
        plots.Curve(
            key.label,
            {
                callers: [run.rate for run in by_key[key]]
                for callers, by_key in measured.items()
                if key in by_key
            },
        )
        for key in keys
    ]
    plots.draw(
        folder / f"{name}.svg",
        curves,
        title="Steps a second, each durable before it is acknowledged",
        x="callers",
        y="steps a second",
        log_x=True,
        log_y=True,
    )


def _row(
    callers: int, key: Key, runs: Sequence[Run], others: dict[Key, list[Run]]
) -> dict[str, Any]:
    rates = [run.rate for run in runs]
    ours = next(  # what minds no accounts is compared with our first distribution
        runs
        for other, runs in others.items()
        if other.contender == OURS and key.distribution in (None, other.distribution)
    )
    one = others.get(Key("1 process", key.distribution, 1)) if key.processes else None
    return {
        "callers": callers,
        "contender": key.contender,
        "distribution": key.distribution,
        "label": key.label,
        "processes": key.processes,
        **figures.spread(rates, "rate"),
        "p50_ms": _median(runs, lambda run: run.p50),
        "p99_ms": _median(runs, lambda run: run.p99),
        "p99_times_mean": _median(runs, lambda run: run.p99 / 1000 * run.rate / callers),
        "failed": sum(run.failed for run in runs),
        "mintage_is_times": figures.ratio([run.rate for run in ours], rates),
        "of_one_process": figures.ratio(rates, [run.rate for run in one]) if one else None,
    }


def _median(runs: Sequence[Run], of: Callable[[Run], float]) -> float | None:
    """None where a contender does not tell: pgbench has averages only, COPY has no callers."""
    measured = [of(run) for run in runs]
    return None if any(map(math.isnan, measured)) else round(statistics.median(measured), 2)
