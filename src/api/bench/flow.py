"""`mintage bench flow`: generations finished a second by one worker, and the memory they take."""

import os
import statistics
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click
import msgspec

from api.bench import figures
from api.bench.feeding import prepare
from api.bench.flow_run import Flow, Load, Sample, provider, run
from api.bench.plots import Curve, draw, plot_option
from api.bench.processes import ran
from api.bench.report import Report, name_of, number_of, publish, spread_of
from api.bench.rounds import in_turn, rounds_option
from api.bench.server import server, settings
from api.console import json_option, tell
from api.settings import Settings

SIZES = {"20 kB": 20_000, "2 MB": 2_000_000}
PROVIDERS = {"0 s": (0.0, 0.0), "10 s ± 5": (10.0, 5.0)}
CALLS_ALONE = 64
"""Calls at once of the client alone; more make it no quicker."""

COLUMNS = (
    name_of("provider, picture", "what"),
    number_of("finished/s", "finished_per_second", ",.1f"),
    spread_of("min–max", "finished_per_second", ",.1f"),
    number_of("of calls alone", "of_calls_alone", ".2f", "×"),
    number_of("held", "held"),
    number_of("calls", "calls"),
    number_of("MB idle", "idle_mb"),
    number_of("MB", "mb"),
    number_of("peak MB", "peak_mb"),
    number_of("kB each", "kb_each"),
    number_of("CPU ms each", "cpu_ms_each", ",.1f"),
    number_of("failed", "failed"),
)
CAPTION = "medians, in turn; held by the worker, and calls of those that wait; MB are its PSS"


class Alone(NamedTuple):
    """What Gemini's client did alone."""

    finished_per_second: float
    cpu_ms_each: float
    megabytes: float


class Entrant(NamedTuple):
    """A load, and what meets it: the flow, or the client alone."""

    label: str
    load: Load
    alone: bool


@click.command("flow")
@rounds_option
@click.option("--in-flight", default=2_000, show_default=True, type=click.IntRange(1, 5_000))
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(1, 600))
@click.option("--sizes", default=",".join(SIZES), show_default=True, help="Of the pictures.")
@click.option("--waits", default=",".join(PROVIDERS), show_default=True, help="Of the provider.")
@click.option("--storage", type=click.Choice(["folder", "s3"]), default="folder")
@plot_option
@json_option
def flow(
    *,
    rounds: int,
    in_flight: int,
    seconds: float,
    sizes: str,
    waits: str,
    storage: Literal["folder", "s3"],
    plots: Path | None,
    as_json: bool,
) -> None:
    """Generations finished a second by one worker process, and its memory, everything in turn.

    The provider speaks Gemini's protocol over loopback and takes 0 s, or 10 s ± 5. What asks
    records for itself, so no HTTP is in it. S3 is the one that the S3_ settings name.
    """
    entrants = _entrants(_chosen(sizes, SIZES), _chosen(waits, PROVIDERS), in_flight)
    flows: dict[str, list[Flow]] = {}
    alone: dict[str, list[Alone]] = {}
    with server() as postgres, tempfile.TemporaryDirectory(prefix="mintage-bench-") as made:
        folder = Path(made)
        shown = settings(postgres.database_url)
        prepare(postgres.migration_database_url)
        stored = _storage(storage)
        for number in range(rounds):
            for each in in_turn(entrants, number):
                told = f"round {number + 1}/{rounds}  {each.label:<28}"
                if each.alone:
                    done = _alone(each.load, seconds, folder)
                    alone.setdefault(each.label, []).append(done)
                    tell(f"{told} {done.finished_per_second:8.1f}/s")
                    continue
                ran_ = run(
                    postgres,
                    f"flow_{number}",
                    each.load,
                    seconds=seconds,
                    folder=folder,
                    storage=stored,
                )
                flows.setdefault(each.label, []).append(ran_)
                last = ran_.samples[-1]
                tell(
                    f"{told} {ran_.finished / ran_.seconds:8.1f}/s  {last.held:5} held  "
                    f"{last.worker_bytes / 1e6:6.0f} MB"
                )
    shown |= {"rounds": rounds, "seconds": seconds, "at_a_time": in_flight, "storage": storage}
    report: Report = {"settings": shown, "results": _rows(entrants, flows, alone)}
    report["curves"] = {label: _curve(runs[-1]) for label, runs in flows.items()}
    publish(report, COLUMNS, CAPTION, as_json=as_json)
    if plots:
        _draw(plots, report["curves"])
    for row in [] if as_json else report["results"]:
        split = ", ".join(f"{name} {ms:.1f}" for name, ms in row["cpu_ms_split"].items())
        tell(f"{row['what']}: CPU ms each: {split}")


def _chosen(names: str, known: Iterable[str]) -> list[str]:
    chosen = names.split(",")
    if unknown := {*chosen}.difference(known):
        raise click.BadParameter(
            f"there is no {', '.join(sorted(unknown))}, but {', '.join(known)}"
        )
    return chosen


def _entrants(sizes: list[str], waits: list[str], in_flight: int) -> list[Entrant]:
    found = []
    for size in sizes:
        for wait in waits:
            seconds, spread = PROVIDERS[wait]
            load = Load(SIZES[size], seconds, spread, in_flight)
            found.append(Entrant(f"{wait}, {size}", load, alone=False))
        load = Load(SIZES[size], 0, 0, CALLS_ALONE)
        found.append(Entrant(f"calls alone, {size}", load, alone=True))
    return found


def _storage(kind: str) -> dict[str, str]:
    if kind == "folder":
        return {}
    names = [field.upper() for field in Settings.__struct_fields__ if field.startswith("s3_")]
    if not os.environ.get("S3_ENDPOINT"):
        raise click.UsageError("--storage s3 needs S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _alone(load: Load, seconds: float, folder: Path) -> Alone:
    with provider(load, folder) as (url, _):
        words = (url, str(load.in_flight), str(seconds))
        done = ran([sys.executable, "-P", "-m", "api.bench.calls", *words])
    told = msgspec.json.decode(done.output)
    finished = max(told["finished"], 1)
    return Alone(finished / seconds, told["cpu_seconds"] * 1000 / finished, told["pss_bytes"] / 1e6)


def _rows(
    entrants: list[Entrant], flows: dict[str, list[Flow]], alone: dict[str, list[Alone]]
) -> list[dict[str, Any]]:
    rows = []
    for entrant in entrants:
        size = entrant.label.rpartition(", ")[2]
        calls = [each.finished_per_second for each in alone[f"calls alone, {size}"]]
        rows.append(
            _alone_row(entrant.label, alone[entrant.label])
            if entrant.alone
            else _flow_row(entrant, flows[entrant.label], calls)
        )
    return rows


def _flow_row(entrant: Entrant, runs: list[Flow], alone: list[float]) -> dict[str, Any]:
    rates = [each.finished / each.seconds for each in runs]
    measured = [_measured(each) for each in runs]
    idle = statistics.median(each.idle_bytes for each in runs)
    full = statistics.median(look.worker_bytes for looks in measured for look in looks)
    held = statistics.median(look.held for looks in measured for look in looks)
    calls = statistics.median(look.in_flight for looks in measured for look in looks)
    split = {
        name: round(
            statistics.median(
                each.cpu_seconds[name] * 1000 / max(each.finished, 1) for each in runs
            ),
            2,
        )
        for name in runs[0].cpu_seconds
    }
    at_once = entrant.load.seconds == 0
    return {
        "what": entrant.label,
        **figures.spread(rates, "finished_per_second", digits=1),
        "of_calls_alone": figures.ratio(rates, alone) if at_once else None,
        "held": held,
        "calls": calls,
        "idle_mb": round(idle / 1e6, 1),
        "mb": round(full / 1e6, 1),
        "peak_mb": round(max(look.worker_bytes for each in runs for look in each.samples) / 1e6, 1),
        "kb_each": round((full - idle) / 1e3 / max(held, 1), 1),
        "cpu_ms_each": round(sum(split.values()) - split["provider"], 2),
        "cpu_ms_split": split,
        "failed": sum(each.failed for each in runs),
    }


def _alone_row(label: str, measured: list[Alone]) -> dict[str, Any]:
    rates = [each.finished_per_second for each in measured]
    cpu = round(statistics.median(each.cpu_ms_each for each in measured), 2)
    return {
        "what": label,
        **figures.spread(rates, "finished_per_second", digits=1),
        **dict.fromkeys(("of_calls_alone", "held", "calls", "idle_mb", "kb_each", "failed")),
        "mb": round(statistics.median(each.megabytes for each in measured), 1),
        "peak_mb": None,
        "cpu_ms_each": cpu,
        "cpu_ms_split": {"worker": cpu},
    }


def _draw(folder: Path, curves: dict[str, list[dict[str, float]]]) -> None:
    for key, y in (("held", "generations in flight"), ("worker_mb", "PSS of the worker, MB")):
        drawn = [
            Curve(label, {look["seconds"]: [look[key]] for look in looks})
            for label, looks in curves.items()
        ]
        path = folder / f"flow-{key.replace('_', '-')}.svg"
        draw(path, drawn, title=f"One worker process: {y}", x="seconds", y=y)


def _measured(ran_: Flow) -> list[Sample]:
    begin = ran_.samples[-1].seconds - ran_.seconds
    return [look for look in ran_.samples if look.seconds > begin]


def _curve(ran_: Flow) -> list[dict[str, float]]:
    return [
        {
            "seconds": look.seconds,
            "held": look.held,
            "in_flight": look.in_flight,
            "finished": look.finished,
            "worker_mb": round(look.worker_bytes / 1e6, 1),
        }
        for look in ran_.samples
    ]
