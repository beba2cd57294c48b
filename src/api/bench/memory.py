"""How much memory a measurement takes: ours, and what the server's processes have to themselves."""

import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_SECONDS = 0.1
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_KB = re.compile(r"^(VmRSS|RssAnon):\s+(\d+) kB", re.MULTILINE)


class Watch:
    """Looks ten times a second; the most seen stands in `client_bytes` and `server_bytes`."""

    def __init__(self, server_pid: int) -> None:
        self.client_bytes = 0
        self.server_bytes = 0
        self._server_pid = server_pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(_SECONDS):
            self.client_bytes = max(self.client_bytes, _read("self", "VmRSS"))
            children = Path(f"/proc/{self._server_pid}/task/{self._server_pid}/children")
            pids = children.read_text().split()
            self.server_bytes = max(self.server_bytes, sum(_read(pid, "RssAnon") for pid in pids))


def pss_bytes(pid: int) -> int:
    """What it has in memory, each shared page split between those that share it; 0 once gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = _PSS.search(rollup)
    return int(found[1]) * 1024 if found else 0


def _read(pid: str, name: str) -> int:
    try:
        found = dict(_KB.findall(Path(f"/proc/{pid}/status").read_text()))
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found.get(name, 0)) * 1024
