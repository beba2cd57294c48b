"""`mintage bench ledger`: request and settle steps a second, beside the usual ways."""

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import click

from api.bench import work
from api.bench.callers import Run
from api.bench.contenders import OURS, WAYS, Contender
from api.bench.options import Numbers, Words
from api.bench.plots import plot_option
from api.bench.rounds import in_turn, rounds_option
from api.bench.sampler import Sampler, profile_option
from api.bench.server import flush_setting, one_commit_ms, server, settings
from api.bench.statements import PRELOADED, statements
from api.bench.steps import Key, Measured, draw_rates, publish_steps
from api.bench.writers import Sharing, Writers
from api.console import json_option, tell
from api.launch.collecting import collect_seldom
from ledger.embedded import EmbeddedPostgres
from ledger.embedded.roles import SUPERUSER

PROCESSES_MAX = 16
WARM_SECONDS = 0.5
PROFILE_SECONDS = 5.0


class Entrant(NamedTuple):
    """A contender under one distribution of accounts, and what measures it."""

    key: Key
    measure: Callable[[int, float], Run]
    callers_min: int = 1


@click.command("ledger")
@click.option(
    "--callers",
    default="1,16,64,256,1000",
    show_default=True,
    type=Numbers(10_000),
    help="Callers at once.",
)
@click.option(
    "--distribution",
    "distributions",
    default="uniform,hot",
    show_default=True,
    type=Words(list(work.DISTRIBUTIONS)),
    help="Which accounts are asked for: uniform, zipf, hot.",
)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(WAYS)),
    help="Beside Mintage, only these; may be repeated.",
)
@click.option(
    "--peers/--no-peers",
    default=True,
    help="With stores of events from PyPI and npm, where `make bench-peers` has brought them.",
)
@click.option(
    "--processes",
    default=(),
    type=Numbers(PROCESSES_MAX),
    help="Also with so many writing processes, the callers shared among them: 1,2,4.",
)
@click.option(
    "--flush-ms",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 100),
    help="Let each flush of the log take so much longer, as a slower disk would.",
)
@rounds_option
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.1, 60))
@plot_option
@profile_option
@json_option
def ledger(
    *,
    callers: Sequence[int],
    distributions: Sequence[str],
    only: Sequence[str],
    processes: Sequence[int],
    flush_ms: float,
    rounds: int,
    seconds: float,
    plots: Path | None,
    profile: Path | None,
    peers: bool,
    as_json: bool,
) -> None:
    """Steps a second (a request, or its settlement, each durable), everything in turn.

    Runs on a PostgreSQL of its own, with fsync and synchronous_commit on; a profile is of the last
    number of callers.
    """
    names = [each for each in WAYS if _takes_part(each, only, peers=peers)]
    name = "ledger" if not flush_ms else f"ledger-flush-{flush_ms:g}ms"
    set_to = flush_setting(flush_ms) | ({} if profile is None else PRELOADED)
    with server(settings=set_to) as postgres, ExitStack() as stack:
        shown = settings(postgres.database_url) | {
            "one_commit_ms": one_commit_ms(postgres.migration_database_url),
            "rounds": rounds,
            "seconds": seconds,
        }
        if profile is not None:
            shown |= PRELOADED
        entrants = _entrants(postgres, names, distributions, stack)
        entrants += _writing(postgres, processes, distributions, stack)
        for entrant in entrants:  # warm: plans, caches, imports
            entrant.measure(max(callers[0], entrant.callers_min), min(seconds, WARM_SECONDS))
        collect_seldom()  # as the serving processes do; every contender has the good of it
        measured = _measure(entrants, callers, rounds=rounds, seconds=seconds)
        if profile is not None:
            _profile(postgres, entrants[0], callers[-1], profile / name)
    publish_steps(measured, shown, as_json=as_json)
    if plots is not None:
        draw_rates(measured, plots, name)


def _profile(postgres: EmbeddedPostgres, ours: Entrant, callers: int, path: Path) -> None:
    """What this process, callers included, and PostgreSQL do meanwhile."""
    url = postgres.url(SUPERUSER)
    with statements(url, path.with_name(f"{path.name}-statements.txt")):
        flame = path.with_name(f"{path.name}-flame.svg")
        sampler = Sampler(os.getpid(), flame, seconds=PROFILE_SECONDS, form="flamegraph")
        ours.measure(callers, PROFILE_SECONDS)
    sampler.wait()


def _takes_part(name: str, only: Sequence[str], *, peers: bool) -> bool:
    needs = WAYS[name].needs
    asked = name == OURS or not only or name in only
    if not asked or needs is None:
        return asked
    if not peers:
        return False
    if not needs():
        tell(f"{name} is left out: `make bench-peers` brings it")
        return False
    return True


def _entrants(
    postgres: EmbeddedPostgres, names: Sequence[str], distributions: Sequence[str], stack: ExitStack
) -> list[Entrant]:
    entrants = []
    for name in names:
        way = WAYS[name]
        contender = way.make(postgres)
        stack.callback(contender.close)
        if way.spread:
            entrants += [_entrant(name, contender, each) for each in distributions]
        else:
            entrants.append(_entrant(name, contender, None))
    return entrants


def _entrant(name: str, contender: Contender, distribution: str | None) -> Entrant:
    pick = work.DISTRIBUTIONS[distribution or "uniform"]
    return Entrant(
        Key(name, distribution),
        lambda callers, seconds: contender.measure(pick, callers=callers, seconds=seconds),
    )


def _writing(
    postgres: EmbeddedPostgres,
    processes: Sequence[int],
    distributions: Sequence[str],
    stack: ExitStack,
) -> list[Entrant]:
    """Ours in several processes; one account cannot be routed, one process shares with nobody."""
    if not processes:
        return []
    writers = Writers(postgres.migration_database_url, max(processes))
    stack.callback(writers.close)

    def entrant(count: int, sharing: Sharing, distribution: str) -> Entrant:
        return Entrant(
            Key(f"{count} processes, {sharing}" if count > 1 else "1 process", distribution, count),
            lambda callers, seconds: writers.measure(
                distribution, sharing, count=count, callers=callers, seconds=seconds
            ),
            callers_min=count,
        )

    return [
        entrant(count, sharing, distribution)
        for count, distribution in itertools.product(processes, distributions)
        for sharing in (Sharing if count > 1 else [Sharing.EACH_WRITES])
        if sharing is not Sharing.ROUTED or distribution == "uniform"
    ]


def _measure(
    entrants: Sequence[Entrant], callers: Sequence[int], *, rounds: int, seconds: float
) -> Measured:
    """Everything in turn; fewer callers than processes are left out."""
    measured: Measured = {count: {} for count in callers}
    for number in range(rounds):
        for count, entrant in itertools.product(callers, in_turn(entrants, number)):
            if count < entrant.callers_min:
                continue
            done = entrant.measure(count, seconds)
            measured[count].setdefault(entrant.key, []).append(done)
            tell(
                f"round {number + 1}/{rounds}  {count:>5} callers  "
                f"{entrant.key.label:<42} {done.rate:>9,.0f}/s"
            )
    order = {entrant.key: place for place, entrant in enumerate(entrants)}
    return {
        count: dict(sorted(runs.items(), key=lambda item: order[item[0]]))
        for count, runs in measured.items()
    }
