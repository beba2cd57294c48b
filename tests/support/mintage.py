"""The command line as real processes: started as a person does, ended by pid."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ledger.embedded.server import processes_in

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "api.cli")
UP_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 60.0
RUN_SECONDS_MAX = 240.0


def environment(home: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a command sees: nothing of this machine's but what a program needs."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ROOT / "src"),
        "MINTAGE_HOME": str(home),
        "PORT": "0",
        "MOCK_DELAY_MS": "50",
        **(settings or {}),
    }


def run(*arguments: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(home, settings),
        cwd=home,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )


def run_json(*arguments: str, home: Path, **settings: str) -> Any:
    """What a command prints with `--json`, which must be one document and nothing else."""
    done = run(*arguments, "--json", home=home, **settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Up:
    """A running `mintage up`."""

    def __init__(self, process: "subprocess.Popen[str]", home: Path, document: Any) -> None:
        self.process = process
        self.home = home
        self.document = document
        self.url: str = document["url"]
        self.pids = [process.pid, *descendants(process.pid)]

    @property
    def left(self) -> list[int]:
        """Which of its processes still run, the server's own included."""
        data = self.document["database"]
        servers = processes_in(Path(data)) if data else []
        return [pid for pid in {*self.pids, *servers} if alive(pid)]

    def send(self, number: signal.Signals) -> None:
        """Signal the parent."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """The parent's exit code."""
        return self.process.wait(timeout=STOP_SECONDS_MAX)

    def log(self) -> str:
        """What it wrote to stderr."""
        return (self.home / "up.log").read_text()


@contextlib.contextmanager
def up(home: Path, **settings: str) -> Iterator[Up]:
    """Run `mintage up --json`; killed by pid at the end if the test has not ended it."""
    with (home / "up.log").open("w") as log:
        process = subprocess.Popen(
            [*COMMAND, "up", "--json"],
            env=environment(home, settings),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    running = None
    try:
        line = process.stdout.readline()
        assert line, (home / "up.log").read_text()
        running = Up(process, home, json.loads(line))
        yield running
    finally:
        process.kill()
        process.wait(timeout=STOP_SECONDS_MAX)
        process.stdout.close()
        if running is not None:
            until(lambda: not running.left, what="the end of every process")


def until(condition: Callable[[], object], *, what: str, seconds: float = 60.0) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and is not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def descendants(pid: int) -> list[int]:
    """Every process below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, frontier = [], [pid]
    while frontier:
        children = parents.get(frontier.pop(), [])
        found += children
        frontier += children
    return found
