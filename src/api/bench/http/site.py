"""A server that is measured: uvicorn as in production, with one application or another behind it.

`python -m api.bench.http.site FACTORY` serves as `mintage api` does, by the same settings.
"""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from api.bench.processes import cpu_seconds, free_port, mintage, process, tree, until
from api.launch import serving, tether
from api.launch.listening import bind
from api.settings import Settings

READY_SECONDS_MAX = 60.0
IDLE_SECONDS = 0.3
"""A process that has taken no more of a processor for so long has started."""

MINTAGE = "mintage"
OTHERS: Mapping[str, str] = {
    "CRUD": "api.bench.http.crud_app:crud",
    "bare": "api.bench.http.apps:bare",
    "echo": "api.bench.http.apps:echo",
}
"""By the names that are shown."""


class Site:
    """Answers on a port of 127.0.0.1, with `workers` processes below the one that it began with."""

    def __init__(
        self, name: str, workers: int, port: int, serving: "subprocess.Popen[bytes]", log: Path
    ) -> None:
        self.name = name
        self.workers = workers
        self.port = port
        self._serving = serving
        self._log = log

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return tree(self._serving.pid)

    @property
    def cpu_seconds(self) -> float:
        """The processor time of all of them, so far."""
        return sum(map(cpu_seconds, self.pids))

    def await_ready(self) -> None:
        """Return once it answers, and all its processes have started. Raises `TimeoutError`."""
        until(
            self._answers,
            what=f"an answer of {self.name}",
            seconds_max=READY_SECONDS_MAX,
            poll_seconds=0.05,
        )
        # One process answers before the others have started; those are busy with it.
        deadline = time.monotonic() + READY_SECONDS_MAX
        spent = -1.0
        while self.cpu_seconds > spent + 0.02 and time.monotonic() < deadline:
            spent = self.cpu_seconds
            time.sleep(IDLE_SECONDS)

    def _answers(self) -> bool:
        if self._serving.poll() is not None:
            raise RuntimeError(f"{self.name} did not start:\n{self._log.read_text()[-2000:]}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/v1/balance")
            # An application that asks for a key has started as well.
            return connection.getresponse().status < HTTPStatus.INTERNAL_SERVER_ERROR
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def site(name: str, url: str, folder: Path, *, workers: int = 1, **settings: str) -> Iterator[Site]:
    """Run it for as long as the block; it may not answer yet."""
    home = folder / f"{name}-{workers}"
    home.mkdir()
    port = free_port()
    environ = {
        "DATABASE_URL": url,
        "MINTAGE_HOME": str(home),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WORKERS": str(workers),
        "LOG_FORMAT": "json",
        **settings,
    }
    command = (
        mintage("api") if name == MINTAGE else [sys.executable, "-P", "-m", __name__, OTHERS[name]]
    )
    with process(command, environ, home / "log") as serving:
        yield Site(name, workers, port, serving, home / "log")


def main(factory: str) -> None:
    """Serve until told to stop."""
    settings = Settings.from_environ(os.environ)
    with bind(settings.host, settings.port) as bound:
        if not serving.serve(settings, bound, factory):
            sys.exit("the server did not start")


if __name__ == "__main__":
    tether.hold()
    main(sys.argv[1])
