"""Where the processes of one host meet: a name that vanishes with whoever listens there.

Linux's abstract sockets are neither files to be left behind nor ports to be guarded; the kernel
says who is at the other end, and only the same user is talked to.
"""

import hashlib
import os
import socket
import struct
import sys

from psycopg.conninfo import conninfo_to_dict

CONNECT_SECONDS_MAX = 0.5
_BACKLOG = 64
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: see unix(7)


def name_of(url: str) -> str:
    """The meeting place of those who write to the same database as the same role.

    Nothing secret goes into it: anyone can list such names.
    """
    options = conninfo_to_dict(url)
    parts = [str(options.get(name, "")) for name in ("host", "port", "dbname", "user")]
    digest = hashlib.sha256("\0".join([str(os.getuid()), *parts]).encode()).hexdigest()
    return f"\0mintage-ledger-{digest[:32]}"


def listen(name: str) -> socket.socket | None:
    """The place, where it was free; None where somebody is there, or there are no such places."""
    if not sys.platform.startswith("linux"):
        return None
    listener = _socket()
    if listener is None:
        return None
    try:
        listener.bind(name)
        listener.listen(_BACKLOG)
        listener.settimeout(0)
    except OSError:
        listener.close()
        return None
    return listener


def connect(name: str) -> socket.socket | None:
    """A connection to whoever listens there; None where nobody does, or another user."""
    if not sys.platform.startswith("linux"):
        return None
    connected = _socket()
    if connected is None:
        return None
    try:
        connected.settimeout(CONNECT_SECONDS_MAX)
        connected.connect(name)
    except OSError:
        connected.close()
        return None
    if not is_own(connected):
        connected.close()
        return None
    return connected


def _socket() -> socket.socket | None:
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError:  # no descriptor is left
        return None


def is_own(connected: socket.socket) -> bool:
    """Whether a process of the same user is at the other end."""
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(raw)[1] == os.getuid())
