"""Child processes of one parent: started in order, restarted when they die, stopped in reverse.

Everything happens in the thread that made the supervisor, which must be the main one: a child
dies with the thread that started it.
"""

import signal
import time
from collections.abc import Callable, Mapping
from typing import IO

from api.launch.child import STOP_SECONDS_MAX, Child

_POLL_SECONDS = 0.02


class Supervisor:
    """`environ` is the children's; their output goes to `output`, or to our stderr."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        output: IO[bytes] | None = None,
        tell: Callable[[str], None],
        forget: Callable[[int], None],
    ) -> None:
        """`tell` is told of each death, `forget` the pid that has died."""
        self._environ = environ
        self._output = output
        self._tell = tell
        self._forget = forget
        self.children: list[Child] = []

    def start(self, name: str, *, socket: int | None = None) -> Child:
        """Start `mintage <name>`, which inherits the bound socket, if any, and awaits `begin`."""
        child = Child(name, self._environ, self._output, socket)
        self.children.append(child)
        return child

    def begin(self, settings: Mapping[str, str]) -> None:
        """Let all of them work, with these settings besides the environment."""
        for child in self.children:
            child.begin(settings)

    def tend(self) -> None:
        """Restart what has died and is due; call it several times a second."""
        for child in self.children:
            if child.due is not None:
                if time.monotonic() >= child.due:
                    child.restart()
            elif not child.running:
                self._forget(child.process.pid)
                wait = child.plan_restart()
                self._tell(f"mintage {child.name} {child.ending}; starting it again in {wait:g} s")

    def stop(self) -> None:
        """Stop the children, the last first; each has `STOP_SECONDS_MAX`, then it is killed."""
        for child in reversed(self.children):
            child.send(signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS_MAX
            while child.running and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            if child.running:
                self._tell(f"mintage {child.name} did not stop in {STOP_SECONDS_MAX:g} s: killed")
                child.send(signal.SIGKILL)
                child.process.wait()
        self.children.clear()

    def kill(self) -> None:
        """Kill them all, now."""
        for child in self.children:
            child.send(signal.SIGKILL)
