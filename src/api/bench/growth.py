"""`mintage bench growth`: whether a spend takes longer in a long log, or of a long account."""

import random
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import click
import psycopg

from api.bench import figures
from api.bench.callers import Run
from api.bench.history import EVENTS_MIN, accounts_of, ensure_history
from api.bench.lengths import Spender
from api.bench.options import Numbers
from api.bench.ours import GroupCommitter
from api.bench.plans import write_plans
from api.bench.plots import Curve, draw, plot_option
from api.bench.report import name_of, number_of, publish, spread_of
from api.bench.rounds import in_turn, rounds_option
from api.bench.server import server, settings
from api.bench.whole_log import home_option
from api.console import json_option, tell
from api.launch.collecting import collect_seldom
from ledger.embedded import EmbeddedPostgres

FEW = 1_000
GROWN = 0.25
"""What is kept grows with each run; up to so much of it counts as the same log."""
KEPT_MIN = 5_000_000
"""A shorter log is made faster than it would have to be made again after a few runs."""

UNMET, MET = "all accounts, never met", "all accounts, met before"
"""Who has been met has a snapshot; the ledger keeps so many in memory as it may."""
MET_AT_ONCE = 5_000

COLUMNS = (
    name_of("what grows", "grows"),
    number_of("events", "events", ","),
    name_of("who spends", "spends"),
    number_of("steps/s", "rate"),
    spread_of("min–max", "rate"),
    number_of("p99 ms", "p99_ms", ",.1f"),
    number_of("failed", "failed"),
    number_of("of the first", "of_first", ".2f", "×"),
)
CAPTION = "medians, in turn; of the first: the rounds' own ratios to the first size"


class Load(NamedTuple):
    """How many spend at once, and for how long."""

    callers: int
    seconds: float


class Entrant(NamedTuple):
    """One size of one thing, and what measures a round of it."""

    grows: str
    events: int
    spends: str
    measure: Callable[[int], Run]


@click.command("growth")
@click.option(
    "--sizes",
    default="200000,2000000,10000000",
    show_default=True,
    type=Numbers(100_000_000, minimum=EVENTS_MIN),
    help="Events in the log.",
)
@click.option(
    "--lengths",
    default="10,1000,100000",
    show_default=True,
    type=Numbers(10_000_000, minimum=4),
    help="Events of an account.",
)
@click.option("--callers", default=64, show_default=True, type=click.IntRange(1, 10_000))
@rounds_option
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.1, 60))
@home_option
@plot_option
@click.option(
    "--plans",
    "plans_to",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write there how PostgreSQL reads and appends in each log.",
)
@json_option
def growth(
    *,
    sizes: Sequence[int],
    lengths: Sequence[int],
    callers: int,
    rounds: int,
    seconds: float,
    home: Path | None,
    plots: Path | None,
    plans_to: Path | None,
    as_json: bool,
) -> None:
    """Steps a second by the length of the log and of an account, everything in turn.

    Each log has a PostgreSQL of its own, with fsync and synchronous_commit on, all at once.
    """
    with ExitStack() as stack:
        servers = {size: _log(size, home, stack) for size in sizes}
        shown = settings(servers[sizes[0]].database_url) | {
            "callers": callers,
            "rounds": rounds,
            "seconds": seconds,
        }
        load = Load(callers, seconds)
        few = min(FEW, *map(accounts_of, sizes))
        ours = {size: _ledger(postgres, few, stack) for size, postgres in servers.items()}
        spender = Spender(stack.enter_context(server()).migration_database_url, *load)
        # What is compared has written equally much before, and so as much is new since the last
        # checkpoint, and written whole once more.
        some = f"{few:,} of its accounts"
        compared = [
            [_of_log(some, ours[size], size, few, load) for size in sizes],
            [_of_account("who has never seen it", spender.first, n) for n in lengths],
            [_of_account("all callers", spender.all, n) for n in lengths],
            [_of_log(UNMET, ours[size], size, accounts_of(size), load) for size in sizes],
        ]
        collect_seldom()
        measured: dict[Entrant, list[Run]] = {}
        for entrants in compared:
            measured |= _measure(entrants, rounds)
        for size in sizes:
            tell(f"all accounts of a log of {size:,} events, once each …")
            _meet_all(ours[size], size)
        met = [_of_log(MET, ours[size], size, accounts_of(size), load) for size in sizes]
        measured |= _measure(met, rounds)
        if plans_to is not None:
            write_plans(
                plans_to / "growth-plans.txt",
                {size: postgres.migration_database_url for size, postgres in servers.items()},
            )
    publish({"settings": shown, "results": _rows(measured)}, COLUMNS, CAPTION, as_json=as_json)
    if plots is not None:
        _draw(measured, plots)


def _log(size: int, home: Path | None, stack: ExitStack) -> EmbeddedPostgres:
    tell(f"a log of {size:,} events …")
    kept = home / str(size) if home and size >= KEPT_MIN else None
    postgres = stack.enter_context(server(kept))
    ensure_history(postgres.migration_database_url, size, grown=GROWN)
    with psycopg.connect(postgres.migration_database_url) as connection:
        connection.execute("TRUNCATE account_snapshots")  # of an earlier time
    return postgres


def _ledger(postgres: EmbeddedPostgres, few: int, stack: ExitStack) -> GroupCommitter:
    """One that has the few accounts in memory."""
    ours = GroupCommitter(postgres.migration_database_url)
    stack.callback(ours.close)
    ours.spend(f"bench-{number}" for number in range(few))
    return ours


def _meet_all(ours: GroupCommitter, size: int) -> None:
    account_ids = [f"bench-{number}" for number in range(accounts_of(size))]
    for start in range(0, len(account_ids), MET_AT_ONCE):
        ours.spend(account_ids[start : start + MET_AT_ONCE])


def _of_log(spends: str, ours: GroupCommitter, size: int, accounts: int, load: Load) -> Entrant:
    """So many of its accounts, of which those that were asked for last are in memory."""

    def pick() -> str:
        return f"bench-{random.randrange(accounts)}"  # noqa: S311 - spreading load

    return Entrant(
        "log",
        size,
        spends,
        lambda _: ours.measure(pick, callers=load.callers, seconds=load.seconds),
    )


def _of_account(spends: str, measure: Callable[[int, int], Run], length: int) -> Entrant:
    return Entrant("account", length, spends, lambda number: measure(length, number))


def _measure(entrants: Sequence[Entrant], rounds: int) -> dict[Entrant, list[Run]]:
    measured: dict[Entrant, list[Run]] = {entrant: [] for entrant in entrants}
    for number in range(-1, rounds):  # one before, for plans and caches
        for entrant in in_turn(entrants, max(number, 0)):
            done = entrant.measure(number)
            if number >= 0:
                measured[entrant].append(done)
            tell(
                f"round {number + 1}/{rounds}  "
                f"{entrant.grows:<7} of {entrant.events:>10,} events  "
                f"{entrant.spends:<28} {done.rate:>9,.1f}/s"
            )
    return measured


def _rows(measured: dict[Entrant, list[Run]]) -> list[dict[str, Any]]:
    first: dict[tuple[str, str], list[float]] = {}
    rows = []
    for entrant, runs in measured.items():
        rates = [run.rate for run in runs]
        base = first.setdefault((entrant.grows, entrant.spends), rates)
        rows.append(
            {
                "grows": entrant.grows,
                "events": entrant.events,
                "spends": entrant.spends,
                **figures.spread(rates, "rate", digits=1),
                "p99_ms": round(statistics.median(run.p99 for run in runs), 2),
                "failed": sum(run.failed for run in runs),
                "of_first": figures.ratio(rates, base),
            }
        )
    return rows


def _draw(measured: dict[Entrant, list[Run]], folder: Path) -> None:
    for grows in dict.fromkeys(entrant.grows for entrant in measured):
        curves: dict[str, dict[float, list[float]]] = {}
        for entrant, runs in measured.items():
            if entrant.grows == grows:
                curve = curves.setdefault(entrant.spends, {})
                curve[entrant.events] = [run.rate for run in runs]
        draw(
            folder / f"growth-{grows}.svg",
            [Curve(spends, points) for spends, points in curves.items()],
            title=f"Steps a second by the length of the {grows}",
            x=f"events of the {grows}",
            y="steps a second",
            log_x=True,
            log_y=True,
        )
