"""A process that writes to the ledger from a few threads until its stdin closes.

Says `ready` once each thread has written, then, at the end, one JSON list: for each command when
it began (the machine's monotonic clock) and how many seconds it took.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import ledger.log
from ledger.commands import Command, GrantTokens, OpenAccount, Submission
from ledger.ledger import Ledger

SECONDS_MAX = 300.0
STOP_SECONDS_MAX = 60.0
TABLE_LOCK = "LOCK TABLE ledger_events IN EXCLUSIVE MODE"

Waits = list[tuple[float, float]]


class Writers:
    """Writing processes, and what they have measured once stopped."""

    def __init__(self, processes: Sequence["subprocess.Popen[str]"]) -> None:
        self._processes = processes
        self.waits: Waits = []

    def stop(self) -> None:
        """Let each end what it has begun."""
        for process in self._processes:
            output, _ = process.communicate(timeout=STOP_SECONDS_MAX)
            assert process.returncode == 0
            self.waits += [(begun, seconds) for begun, seconds in json.loads(output)]


@contextmanager
def writing(
    url: str,
    *,
    processes: int,
    threads: int = 2,
    pause_seconds: float = 0.0,
    table_lock: bool = False,
) -> Iterator[Writers]:
    """Run writers; all have written by the time that the block begins.

    A pause between a thread's commands leaves the machine to others, so that a long wait is one
    for a lock and not for a processor.
    """
    with ExitStack() as stack:
        started = []
        for number in range(processes):
            options = [f"w{number}", str(threads), str(pause_seconds)]
            command = [sys.executable, str(Path(__file__)), url, *options]
            process = subprocess.Popen(
                command + ["table-lock"] * table_lock,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(_end, process)
            started.append(process)
        for process in started:
            assert _stdout(process).readline() == "ready\n"
        yield Writers(started)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
    process.wait(STOP_SECONDS_MAX)
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()


def _stdout(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdout
    return process.stdout


def main(url: str, name: str, threads: int, pause_seconds: float, *, table_lock: bool) -> Waits:
    if table_lock:
        ledger.log.LOCK = TABLE_LOCK
    stopping = threading.Event()
    waits: Waits = []
    with Ledger(url) as written:
        accounts = [f"{name}-{n}" for n in range(threads)]
        for account_id in accounts:
            opened = OpenAccount(account_id=account_id, is_member=True, tokens=1)
            _timed(written, opened)
        workers = [
            threading.Thread(
                target=_write, args=(written, account_id, pause_seconds, stopping, waits)
            )
            for account_id in accounts
        ]
        for worker in workers:
            worker.start()
        print("ready", flush=True)
        sys.stdin.read()
        stopping.set()
        for worker in workers:
            worker.join()
    return waits


def _write(
    written: Ledger,
    account_id: str,
    pause_seconds: float,
    stopping: threading.Event,
    waits: Waits,
) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not stopping.is_set() and time.monotonic() < deadline:
        granted = GrantTokens(account_id=account_id, amount=1, reason="promo")
        waits.append(_timed(written, granted))
        time.sleep(pause_seconds)


def _timed(written: Ledger, command: Command) -> tuple[float, float]:
    begun = time.monotonic()
    written.record(Submission(command=command, actor="cli"))
    return begun, time.monotonic() - begun


if __name__ == "__main__":
    measured = main(
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        float(sys.argv[4]),
        table_lock=sys.argv[5:] == ["table-lock"],
    )
    print(json.dumps(measured))
