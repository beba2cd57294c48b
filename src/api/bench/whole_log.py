"""What the benchmarks of a whole log have in common: their options, and all contenders in turn."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from api.bench import figures
from api.bench.history import EVENTS_MIN
from api.bench.memory import Watch
from api.bench.rounds import in_turn
from api.console import tell

events_option = click.option(
    "--events", default=2_000_000, show_default=True, type=click.IntRange(EVENTS_MIN)
)
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


def all_in_turn(
    contenders: Mapping[str, Callable[[str], None]],
    url: str,
    *,
    server_pid: int,
    events: int,
    times: int,
) -> Passes:
    """Every contender once a round, `times` rounds."""
    passes: Passes = {name: [] for name in contenders}
    for number in range(times):
        for name in in_turn(list(contenders), number):
            with Watch(server_pid) as watch:
                began = time.perf_counter()
                contenders[name](url)
                rate = events / (time.perf_counter() - began)
            passes[name].append(Pass(rate, watch.client_bytes, watch.server_bytes))
            tell(f"round {number + 1}/{times}  {name:<24} {rate:>12,.0f}/s")
    return passes


def ratio(passes: Passes, one: str, other: str) -> float:
    """How many times as fast `one` is."""
    return figures.ratio(*([each.rate for each in passes[name]] for name in (one, other)))


def rates(measured: list[Pass]) -> dict[str, int]:
    """The median and the spread."""
    return figures.spread([each.rate for each in measured], "rate")
