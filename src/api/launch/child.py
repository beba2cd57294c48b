"""One role of the service as a child process, and its successors when it dies."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import IO

from api.launch import tether

STOP_SECONDS_MAX = 6.0
"""For one child; then it is killed."""

RESTART_SECONDS = 0.5
RESTART_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
"""A child that ran this long begins its waits anew."""


class ChildEndedError(Exception):
    """A child ended before it was ready; the message says which and how."""


class Child:
    """One role's process, and its successors; each waits for `begin` before it does anything."""

    def __init__(
        self, name: str, environ: Mapping[str, str], output: IO[bytes] | None, socket: int | None
    ) -> None:
        self.name = name
        self._environ = environ
        self._output = output
        self._socket = socket
        self._settings: Mapping[str, str] | None = None
        self._deaths = 0
        self.due: float | None = None
        self._start()

    def _start(self) -> None:
        self.ready, writer = os.pipe()
        reader, self._begin = os.pipe()
        try:
            handed = {
                tether.PARENT: str(os.getpid()),
                tether.BEGIN: str(reader),
                tether.READY: str(writer),
            }
            descriptors = [reader, writer]
            if self._socket is not None:
                handed[tether.SOCKET] = str(self._socket)
                descriptors.append(self._socket)
            self.process = subprocess.Popen(  # noqa: S603 - this very program
                # -P: a folder named `api` where the person stands must not be taken for ours.
                [sys.executable, "-P", "-m", "api.cli", self.name],
                env={**self._environ, **handed},
                stdin=subprocess.DEVNULL,
                stdout=self._output or sys.stderr,
                stderr=self._output or sys.stderr,
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C is for the parent, which stops each in its turn
            )
        finally:
            os.close(reader)
            os.close(writer)
        self._started_at = time.monotonic()
        self.due = None

    def begin(self, settings: Mapping[str, str]) -> None:
        """Let it work, with these settings besides those it has; once for all its successors."""
        self._settings = settings
        with contextlib.suppress(BrokenPipeError):  # it has ended, as `running` will tell
            os.write(self._begin, json.dumps(dict(settings)).encode())
        os.close(self._begin)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def wait_ready(self, deadline: float) -> None:
        """Return once it says so. Raises `ChildEndedError`, `TimeoutError`."""
        readable, _, _ = select.select([self.ready], [], [], max(0, deadline - time.monotonic()))
        if not readable:
            raise TimeoutError(f"mintage {self.name} was not ready in time")
        if not os.read(self.ready, 1):
            self.process.wait(timeout=STOP_SECONDS_MAX)
            raise ChildEndedError(f"mintage {self.name} {self.ending} before it was ready")

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def plan_restart(self) -> float:
        """After a death: seconds until `restart` is due, longer each time."""
        ran_seconds = time.monotonic() - self._started_at
        self._deaths = 1 if ran_seconds > STEADY_SECONDS else self._deaths + 1
        wait = min(RESTART_SECONDS * 2.0 ** min(self._deaths - 1, 10), RESTART_SECONDS_MAX)
        self.due = time.monotonic() + wait
        os.close(self.ready)
        return wait

    def restart(self) -> None:
        """Start its successor."""
        self._start()
        if self._settings is not None:
            self.begin(self._settings)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.running:
            self.process.send_signal(number)
