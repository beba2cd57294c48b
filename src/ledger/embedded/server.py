"""The server process: started as a direct child, watched, stopped; and what others left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from ledger.embedded import child as child_script
from ledger.embedded.errors import EmbeddedPostgresError
from ledger.embedded.paths import User

LOG_BYTES_MAX = 10_000_000
LOG_TAIL_BYTES = 4_000
POLL_SECONDS = 0.01
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
FAST, IMMEDIATE = signal.SIGINT, signal.SIGQUIT  # PostgreSQL's two ways to shut down


class Child:
    """One PostgreSQL program that dies with us, however we die."""

    def __init__(self, command: Sequence[str], *, user: User | None, log: Path) -> None:
        """Start `command`, its output appended to `log`."""
        self._command = command
        self._user = user or User(-1, -1)
        self._log = log
        self._ended = threading.Event()
        started: Future[subprocess.Popen[bytes]] = Future()
        # The death signal comes when the *thread* that forked ends, so one is kept for it.
        threading.Thread(
            target=self._keep, args=(started,), name="embedded-postgres", daemon=True
        ).start()
        self._process = started.result()

    @property
    def pid(self) -> int:
        """The program's own pid."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.is_set()

    def wait(self, seconds: float) -> int | None:
        """Wait for the exit code at most `seconds`; None if it still runs."""
        self._ended.wait(seconds)
        return self._process.returncode if self._ended.is_set() else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.running:
            self._process.send_signal(number)

    def _keep(self, started: Future[subprocess.Popen[bytes]]) -> None:
        user = self._user
        try:
            with self._log.open("ab") as output:
                process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                    [
                        *(sys.executable, "-I", "-S", child_script.__file__),
                        *(str(os.getpid()), str(user.uid), str(user.gid)),
                        *self._command,
                    ],
                    cwd="/",  # ours may be closed to the server's user
                    env=ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C is for us; we stop the server last
                )
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's result()
            started.set_exception(error)
            return
        started.set_result(process)
        process.wait()
        self._ended.set()


def run(command: Sequence[str], *, user: User | None, log: Path, seconds: float) -> None:
    """Run a PostgreSQL program to its end. Raises with the log's tail if it fails."""
    offset = log_size(log)
    child = Child(command, user=user, log=log)
    try:
        code = child.wait(seconds)
    finally:
        child.send(signal.SIGKILL)
    if code != 0:
        end = f"took longer than {seconds:.0f} s" if code is None else f"ended with {code}"
        raise EmbeddedPostgresError(f"{Path(command[0]).name} {end}:\n{log_tail(log, offset)}")


def start(
    binaries: Path, data: Path, settings: Mapping[str, str], *, user: User | None, log: Path
) -> Child:
    """Start the server; it is ready only once `is_ready` says so."""
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return Child([str(binaries / "postgres"), "-D", str(data), *options], user=user, log=log)


def is_ready(data: Path, pid: int) -> bool:
    """Tell, as pg_ctl does, from the server's pid file whether it takes connections."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004 - miscadmin.h: the eighth line is the state


def stop(child: Child, *, seconds: float) -> bool:
    """Shut down in order, within `seconds`, else at once; True if it was in order."""
    for number, patience in ((FAST, seconds), (IMMEDIATE, 5.0), (signal.SIGKILL, 5.0)):
        child.send(number)
        code = child.wait(patience)
        if code is not None:
            return number is FAST and code == 0
    return False


def clear_leftovers(data: Path, *, seconds: float) -> None:
    """Wait for the processes that an earlier owner left on `data` to end, then forget its pid file.

    Only the owner may call it. The pid file alone proves nothing: its pid may long be another
    program's, and PostgreSQL would then refuse to start.
    """
    deadline = time.monotonic() + seconds
    asked: dict[int, signal.Signals] = {}
    while pids := processes_in(data):
        late = time.monotonic() > deadline - seconds / 2
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(
                f"an earlier server still runs on {data} (pids {', '.join(map(str, pids))}): "
                f"it did not end within {seconds:.0f} s"
            )
        for pid in pids:
            wanted = IMMEDIATE if late else FAST
            if asked.get(pid) is not wanted:
                asked[pid] = wanted
                send(pid, wanted)
        time.sleep(POLL_SECONDS)
    (data / "postmaster.pid").unlink(missing_ok=True)


def processes_in(data: Path) -> list[int]:
    """Find the processes that work in `data`: a PostgreSQL server stays in its data directory."""
    wanted = os.path.realpath(data)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "cwd") == wanted:  # noqa: PTH115 - measured: half the time
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def free_port(preferred: int) -> int:
    """Choose a port of 127.0.0.1 that is free now: the preferred one if possible, 0 is any."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedPostgresError("no free port on 127.0.0.1")


def answers(port: int) -> bool:
    """Tell whether something listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def log_size(log: Path) -> int:
    """Bytes in the log, 0 if there is none."""
    return log.stat().st_size if log.exists() else 0


def log_tail(log: Path, offset: int) -> str:
    """Read what was logged since `offset`, at most the last few lines."""
    with log.open("rb") as file:
        file.seek(max(offset, log_size(log) - LOG_TAIL_BYTES))
        return file.read(LOG_TAIL_BYTES).decode(errors="replace").strip()


def turn_log(log: Path) -> None:
    """Keep the log bounded: a long one becomes the old one."""
    if log_size(log) > LOG_BYTES_MAX:
        log.rename(log.with_suffix(".log.1"))
