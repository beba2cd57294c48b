"""One run of the whole flow: a database, a provider, a projector and one worker of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from api.bench.feeding import Feeder
from api.bench.memory import pss_bytes
from api.bench.processes import cpu_seconds, mintage, process, tree, until
from ledger.embedded import EmbeddedPostgres
from ledger.identity import ending_id

SAMPLE_SECONDS = 0.5
RAMP_SECONDS_MAX = 60.0
IDLE_SECONDS = 1.0
READY_SECONDS_MAX = 60.0
OPEN_EACH = 1.25
"""As many generations are open as the worker takes at a time, and a quarter more that wait."""

_LEASED = "SELECT generation_id FROM generation_leases WHERE lease_until > clock_timestamp()"
# The log tells what has ended; the view may not have seen it yet.
_ENDED = "SELECT count(*) FROM ledger_events WHERE fact_id = ANY(%s)"


class Load(NamedTuple):
    """What the provider does, and how many generations the worker may have at a time."""

    picture_bytes: int
    seconds: float
    spread: float
    in_flight: int


class Sample(NamedTuple):
    """A look at it, `seconds` after the first generation was asked for.

    `held` is what the worker works on, `in_flight` those of it whose calls the provider has not
    answered.
    """

    seconds: float
    held: int
    in_flight: int
    finished: int
    worker_bytes: int


class Flow(NamedTuple):
    """A run: the looks from its beginning, and what was spent while it was measured."""

    idle_bytes: int
    samples: list[Sample]
    seconds: float
    finished: int
    failed: int
    cpu_seconds: dict[str, float]


@contextmanager
def provider(load: Load, folder: Path) -> Iterator[tuple[str, int]]:
    """A server that answers as `load` says: its address and pid."""
    log = folder / "provider.log"
    log.unlink(missing_ok=True)
    words = (str(load.picture_bytes), str(load.seconds), str(load.spread))
    command = [sys.executable, "-P", "-m", "api.bench.gemini_server", *words]
    with process(command, {}, log) as serving:
        until(lambda: "\n" in log.read_text(), what="the provider", seconds_max=READY_SECONDS_MAX)
        yield log.read_text().strip(), serving.pid


def run(
    postgres: EmbeddedPostgres,
    database: str,
    load: Load,
    *,
    seconds: float,
    folder: Path,
    storage: Mapping[str, str],
) -> Flow:
    """Measure for `seconds`, after as many are in flight as there can be.

    `database` is made from the prepared one and dropped again. Raises `TimeoutError`.
    """
    home = folder / "home"
    home.mkdir()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        url = stack.enter_context(_copy_of_database(postgres, database))
        gemini_url, provider_pid = stack.enter_context(provider(load, folder))
        environ = {
            "DATABASE_URL": url,
            "MINTAGE_HOME": str(home),
            "GEMINI_API_KEY": "bench",
            "GEMINI_BASE_URL": gemini_url,
            "GEMINI_MODEL": "bench-image-1",
            "LOG_FORMAT": "json",
            **storage,
        }
        log = folder / "worker.log"
        projector = stack.enter_context(process(mintage("projector"), environ, log))
        command = mintage("worker", "--concurrency", str(load.in_flight))
        worker = stack.enter_context(process(command, environ, log))
        _await_worker(worker, log)
        time.sleep(IDLE_SECONDS)
        idle_bytes = pss_bytes(worker.pid)
        feeder = stack.enter_context(Feeder(url, int(load.in_flight * OPEN_EACH)))
        pids = {
            "worker": worker.pid,
            "projector": projector.pid,
            "PostgreSQL": postgres.server_pid,
            "requests": os.getpid(),
            "provider": provider_pid,
        }
        looking = stack.enter_context(psycopg.connect(url, autocommit=True))
        watching = _Watching(feeder, worker, gemini_url, looking)
        watching.watch(load.seconds + load.spread)
        watching.watch_until_finished(load.in_flight)
        before, spent_before = watching.samples[-1], _spent(pids)
        watching.watch(seconds)
        after, spent = watching.samples[-1], _spent(pids)
        return Flow(
            idle_bytes=idle_bytes,
            samples=watching.samples,
            seconds=after.seconds - before.seconds,
            finished=after.finished - before.finished,
            failed=feeder.failed,
            cpu_seconds={name: spent[name] - spent_before[name] for name in pids},
        )


class _Watching:
    def __init__(
        self,
        feeder: Feeder,
        worker: "subprocess.Popen[bytes]",
        gemini_url: str,
        connection: psycopg.Connection[Any],
    ) -> None:
        self.samples: list[Sample] = []
        self._began = time.monotonic()
        self._feeder = feeder
        self._worker = worker
        self._gemini_url = gemini_url
        self._connection = connection

    def watch(self, seconds: float) -> None:
        """Look twice a second; the last look is `seconds` after the beginning of this watch."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._look(min(left, SAMPLE_SECONDS))

    def watch_until_finished(self, count: int) -> None:
        """Look until so many have finished, and the worker is warm; at most a minute."""
        end = time.monotonic() + RAMP_SECONDS_MAX
        while self._feeder.succeeded < count and time.monotonic() < end:
            self._look(SAMPLE_SECONDS)

    def _look(self, after_seconds: float) -> None:
        time.sleep(after_seconds)
        if self._worker.poll() is not None:
            raise RuntimeError(f"the worker ended with exit code {self._worker.returncode}")
        # The server answers at once, unless the machine has no time for it either.
        with urllib.request.urlopen(self._gemini_url, timeout=30) as answer:  # noqa: S310 - ours
            in_flight = json.load(answer)["in_flight"]
        sample = Sample(
            seconds=round(time.monotonic() - self._began, 3),
            held=self._held(),
            in_flight=in_flight,
            finished=self._feeder.succeeded,
            worker_bytes=pss_bytes(self._worker.pid),
        )
        self.samples.append(sample)

    def _held(self) -> int:
        endings = [ending_id(row[0]) for row in self._connection.execute(_LEASED)]
        row = self._connection.execute(_ENDED, (endings,)).fetchone()
        return len(endings) - (row[0] if row else 0)


def _spent(pids: Mapping[str, int]) -> dict[str, float]:
    # Ours without what we have started and waited for.
    return {
        name: time.process_time() if pid == os.getpid() else sum(map(cpu_seconds, tree(pid)))
        for name, pid in pids.items()
    }


def _await_worker(worker: "subprocess.Popen[bytes]", log: Path) -> None:
    def started() -> bool:
        if worker.poll() is not None:
            raise RuntimeError(f"the worker did not start:\n{log.read_text()[-2000:]}")
        return '"worker started"' in log.read_text()

    until(started, what="the worker", seconds_max=READY_SECONDS_MAX)


@contextmanager
def _copy_of_database(postgres: EmbeddedPostgres, name: str) -> Iterator[str]:
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE mintage".encode())
    try:
        yield postgres.url("mintage_app", name)
    finally:
        with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
