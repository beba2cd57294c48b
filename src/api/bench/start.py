"""`mintage bench start`: from the command to readiness, and what each role imports and weighs."""

import http.client
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from api.bench import bare, figures
from api.bench.importing import ROLES, imported
from api.bench.memory import pss_bytes
from api.bench.processes import cpu_seconds, free_port, mintage, process, ran, role_of, tree, until
from api.bench.report import Report, name_of, number_of, publish, spread_of
from api.bench.rounds import in_turn, rounds_option
from api.bench.server import settings
from api.console import json_option, tell
from ledger.embedded import EmbeddedPostgres, remove

READY_SECONDS_MAX = 60.0
COLD = "mintage up, cold"
WARM = "mintage up, warm"
BARE = "bare Litestar, uvicorn"
HOME = "home"
COLUMNS = (
    name_of("what", "what"),
    number_of("s", "seconds", ".2f"),
    spread_of("min–max", "seconds", ".2f"),
    number_of("CPU s", "cpu_seconds", ".2f"),
    number_of("of bare", "of_bare", ".2f", "×"),
    number_of("PSS MB", "pss_mb", ",.1f"),
)
CAPTION = "medians, in turn; up and bare until they answer, the others until they end"


class Start(NamedTuple):
    """One start: seconds of clock and of all its processes, and their memory by role."""

    seconds: float
    cpu_seconds: float
    pss_bytes: dict[str, int]
    heavy: str = ""


@click.command("start")
@rounds_option
@json_option
def start(rounds: int, *, as_json: bool) -> None:
    """Seconds until `mintage up` is ready, cold and warm, and what each role needs to begin.

    Cold is a new data folder, warm one that was stopped in order. The modules' bytecode is there.
    """
    measured: dict[str, list[Start]] = {}
    with tempfile.TemporaryDirectory(prefix="mintage-bench-") as made:
        folder = Path(made)
        entrants: dict[str, Callable[[], Start]] = {
            COLD: partial(_cold, folder),
            WARM: partial(_up, folder),  # on what the last cold one has left
            BARE: partial(_bare, folder),
            **{f"import: {role}": partial(_import, role) for role in ROLES},
            "mintage --version": partial(_run, mintage("--version")),
            "mintage --help": partial(_run, mintage("--help")),
        }
        for number in range(rounds):
            for name in in_turn(list(entrants), number):
                measured.setdefault(name, []).append(entrants[name]())
                took = measured[name][-1].seconds
                tell(f"round {number + 1}/{rounds}  {name:<32} {took:6.2f} s")
        with EmbeddedPostgres.start(folder / HOME) as postgres:
            shown = settings(postgres.database_url)
        remove(folder / HOME)
    report: Report = {"settings": shown | {"rounds": rounds}, "results": _rows(measured, entrants)}
    publish(report, COLUMNS, CAPTION, as_json=as_json)
    for row in [] if as_json else report["results"]:
        if row["heavy"]:
            tell(f"{row['what']}: {row['heavy']}")


def _cold(folder: Path) -> Start:
    home = folder / HOME
    if home.exists():
        remove(home)
        shutil.rmtree(home)
    return _up(folder)


def _up(folder: Path) -> Start:
    home = folder / HOME
    home.mkdir(exist_ok=True)
    port = free_port()
    environ = {"MINTAGE_HOME": str(home), "HOST": "127.0.0.1", "PORT": str(port)}
    log = folder / "up.log"
    began = time.perf_counter()
    with process(mintage("up"), environ, log) as up:
        _await_answer(up, port, "/health/ready", log)
        seconds = time.perf_counter() - began
        pids = tree(up.pid)
        memory = {"all": sum(map(pss_bytes, pids))}
        memory |= {role: pss_bytes(pid) for pid in pids if (role := role_of(pid))}
        return Start(seconds, sum(map(cpu_seconds, pids)), memory)


def _bare(folder: Path) -> Start:
    port = free_port()
    command = [sys.executable, "-P", "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "bare.log"
    began = time.perf_counter()
    with process([*command, "--log-level", "warning", "api.bench.bare:app"], {}, log) as serving:
        _await_answer(serving, port, bare.PATH, log)
        seconds = time.perf_counter() - began
        return Start(seconds, cpu_seconds(serving.pid), {"all": pss_bytes(serving.pid)})


def _import(role: str) -> Start:
    done, found = imported(role)
    memory = {"all": found.pss_kb * 1024}
    return Start(done.seconds, done.cpu_seconds, memory, " ".join(found.heavy))


def _run(command: list[str]) -> Start:
    done = ran(command)
    return Start(done.seconds, done.cpu_seconds, {})


def _await_answer(serving: "subprocess.Popen[bytes]", port: int, path: str, log: Path) -> None:
    def ready() -> bool:
        if serving.poll() is not None:
            raise click.ClickException(f"it ended before it was ready:\n{log.read_text()[-2000:]}")
        return _status(port, path) == http.client.OK

    until(ready, what=f"an answer to {path}", seconds_max=READY_SECONDS_MAX)


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _rows(measured: dict[str, list[Start]], order: Iterable[str]) -> list[dict[str, Any]]:
    bares = [each.seconds for each in measured[BARE]]
    rows = []
    for name in order:
        starts = measured[name]
        seconds = [each.seconds for each in starts]
        rows.append(
            {
                "what": name,
                **figures.spread(seconds, "seconds", digits=3),
                "cpu_seconds": round(statistics.median(e.cpu_seconds for e in starts), 3),
                "of_bare": figures.ratio(seconds, bares),
                "pss_mb": _megabytes(starts, "all"),
                "heavy": starts[-1].heavy,
            }
        )
        rows += [
            {
                "what": f"  {role}, when ready",
                "seconds": None,
                "cpu_seconds": None,
                "of_bare": None,
                "pss_mb": _megabytes(starts, role),
                "heavy": "",
            }
            for role in starts[-1].pss_bytes
            if role != "all"
        ]
    return rows


def _megabytes(starts: list[Start], role: str) -> float | None:
    found = [each.pss_bytes[role] for each in starts if role in each.pss_bytes]
    return round(statistics.median(found) / 1e6, 1) if found else None
