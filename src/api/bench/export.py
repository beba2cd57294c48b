"""How fast a real API process exports the log, and how much memory that takes it at most."""

import http.client
import os
import secrets
import socket
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from api.launch.child import Child

START_SECONDS_MAX = 30.0
CHUNK = 1 << 16


class Exported(NamedTuple):
    """One export: events a second, and the process's memory before and at its peak."""

    events: int
    rate: float
    mb_before: float
    mb_peak: float


class Exporter:
    """An API process over a database, on a loopback port of its own."""

    def __init__(self, url: str) -> None:
        self._key = secrets.token_urlsafe()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._home = tempfile.TemporaryDirectory(prefix="mintage-bench-api-")
        environ = {
            "PATH": os.environ.get("PATH", ""),
            "DATABASE_URL": url,
            "MINTAGE_HOME": self._home.name,
            "MINTAGE_ADMIN_KEY": self._key,
            "LOG_LEVEL": "WARNING",
        }
        self._child = Child("api", environ, None, self._listener.fileno())
        self._child.wait_ready(time.monotonic() + START_SECONDS_MAX)

    def export(self, accept: str) -> Exported:
        """Read it all, as it comes."""
        before = self._mb("VmRSS")
        port = self._listener.getsockname()[1]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        headers = {"Authorization": f"Bearer {self._key}", "Accept": accept}
        began = time.perf_counter()
        connection.request("GET", "/v1/audit/events?order=asc", headers=headers)
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise ValueError(f"the export was answered {answer.status}")
        lines = 0
        while data := answer.read(CHUNK):
            lines += data.count(b"\n")
        seconds = time.perf_counter() - began
        connection.close()
        events = lines - 1  # the last line, or the first, is no event
        return Exported(events, events / seconds, before, self._mb("VmHWM"))

    def close(self) -> None:
        """End the process."""
        self._child.process.terminate()
        self._child.process.wait(timeout=30)
        self._listener.close()
        self._home.cleanup()

    def _mb(self, name: str) -> float:
        status = Path(f"/proc/{self._child.process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) / 1024
