"""What ties a role's process to the one that started it: dies with it, tells it when it is ready.

Plain environment variables, so that the same command runs by hand without any of it.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time

PARENT = "_MINTAGE_PARENT"
BEGIN = "_MINTAGE_BEGIN"
READY = "_MINTAGE_READY"
SOCKET = "_MINTAGE_SOCKET"

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.5


def hold() -> None:
    """Die with the process named in the environment, if one is; call it first of all."""
    parent = os.environ.pop(PARENT, None)
    if parent is not None:
        die_with(int(parent))


def die_with(parent_pid: int) -> None:
    """End this process, by SIGKILL, when the thread that started it ends; at once if it has."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    else:
        threading.Thread(target=_watch, args=(parent_pid,), name="tether", daemon=True).start()
    if os.getppid() != parent_pid:
        os._exit(1)


def await_begin() -> None:
    """Wait for the rest of the settings from the process that started this one, if it has more.

    So a role imports what it needs while its database is still starting. Ends the process where
    the other one is stopping instead.
    """
    descriptor = os.environ.pop(BEGIN, None)
    if descriptor is None:
        return
    with os.fdopen(int(descriptor), "rb") as pipe:
        told = pipe.read()
    if not told:
        sys.exit(0)
    os.environ.update(json.loads(told))


def ready() -> None:
    """Tell the process that started this one, if it wants to know, that the work has begun."""
    descriptor = os.environ.pop(READY, None)
    if descriptor is not None:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))


def handed_socket() -> int | None:
    """The descriptor of a bound socket that was handed down, once."""
    descriptor = os.environ.pop(SOCKET, None)
    return None if descriptor is None else int(descriptor)


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)
