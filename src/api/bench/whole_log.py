"""What the benchmarks of a whole log have in common: their options, and all contenders in turn."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from api.bench.history import EVENTS_MIN
from api.bench.memory import Watch
from api.console import tell

events_option = click.option(
    "--events", default=2_000_000, show_default=True, type=click.IntRange(EVENTS_MIN)
)
rounds_option = click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100))
home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for the log, kept for the next time: 10 million events take minutes to make.",
)


class Pass(NamedTuple):
    """One way through the whole log: events a second, and the most memory seen."""

    rate: float
    client_bytes: int
    server_bytes: int


Passes = dict[str, list[Pass]]


def in_turn(
    contenders: Mapping[str, Callable[[str], None]],
    url: str,
    *,
    server_pid: int,
    events: int,
    rounds: int,
) -> Passes:
    """Every contender once a round, another one first each time."""
    passes: Passes = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            with Watch(server_pid) as watch:
                began = time.perf_counter()
                contenders[name](url)
                rate = events / (time.perf_counter() - began)
            passes[name].append(Pass(rate, watch.client_bytes, watch.server_bytes))
            tell(f"round {number + 1}/{rounds}  {name:<24} {rate:>12,.0f}/s")
    return passes


def ratio(passes: Passes, one: str, other: str) -> float:
    """How many times as fast `one` is: the median of the rounds' own ratios."""
    pairs = zip(passes[one], passes[other], strict=True)
    return round(statistics.median(a.rate / b.rate for a, b in pairs), 3)


def rates(measured: list[Pass]) -> dict[str, int]:
    """The median and the spread."""
    found = [each.rate for each in measured]
    return {
        "rate": round(statistics.median(found)),
        "rate_min": round(min(found)),
        "rate_max": round(max(found)),
    }
