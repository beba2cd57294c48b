"""Processes that are measured: started from a plain environment, ended by pid."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from api.launch import tether
from api.settings import Settings

RUN_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Ran(NamedTuple):
    """A command that has ended: seconds of clock and processor, and what it wrote to stdout."""

    seconds: float
    cpu_seconds: float
    output: str


def mintage(*arguments: str) -> list[str]:
    """Our command line as `mintage up` itself starts it."""
    return [sys.executable, "-P", "-m", "api.cli", *arguments]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What this process has, but of Mintage's settings these alone."""
    ours = {field.upper() for field in Settings.__struct_fields__}
    return {name: value for name, value in os.environ.items() if name not in ours} | {**settings}


def ran(command: Sequence[str]) -> Ran:
    """Run it to its end, in at most a minute. Raises `CalledProcessError`, `TimeoutExpired`."""
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own programs, no shell
        command,
        env=environment({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=RUN_SECONDS_MAX,
        check=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    after = os.times()
    spent = after.children_user + after.children_system
    return Ran(seconds, spent - before.children_user - before.children_system, done.stdout)


@contextlib.contextmanager
def process(
    command: Sequence[str], settings: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run it for as long as the block; then SIGTERM, and SIGKILL half a minute later.

    What holds its tether ends with us, however we end.
    """
    with log.open("ab") as output:
        started = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            command,
            env=environment(settings) | {tether.PARENT: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def until(
    true: Callable[[], bool], *, what: str, seconds_max: float, poll_seconds: float = 0.005
) -> None:
    """Return once it is so. Raises `TimeoutError`, which names `what`."""
    deadline = time.monotonic() + seconds_max
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {seconds_max:g} s")
        time.sleep(poll_seconds)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    found, frontier = [], [pid]
    while frontier:
        found.append(frontier.pop())
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                frontier += [int(child) for child in (task / "children").read_text().split()]
    return found


def role_of(pid: int) -> str:
    """Which of Mintage's commands it runs; empty for another program."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"api.cli" in words:
            return words[words.index(b"api.cli") + 1].decode()
    return ""


def cpu_seconds(pid: int) -> float:
    """The processor time that it has taken, its ended children's included; 0 once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS
