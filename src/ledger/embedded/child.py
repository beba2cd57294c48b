"""Runs as a script between us and a PostgreSQL program; becomes that program, keeping its pid.

Usage: child.py PARENT_PID UID GID PROGRAM [ARGUMENT …]; UID -1 keeps the user.
It is a program of its own, not a `preexec_fn`, since running Python after a fork in a process with
threads can deadlock. It imports nothing but the standard library.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Drop privileges, tie our life to the parent's, and exec; never returns."""
    parent_pid, uid, gid, *command = arguments
    if int(uid) >= 0:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    # Only now: a change of user clears the signal.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(parent_pid):
        sys.exit("the owner ended before its server began")
    os.umask(0o077)
    os.execv(command[0], command)  # noqa: S606 - becoming the program is the point; no shell is meant


if __name__ == "__main__":
    main(sys.argv[1:])
