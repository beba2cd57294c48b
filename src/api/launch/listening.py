"""The address that people reach the service at, bound before anything is started behind it."""

import errno
import socket

PORT_MAX = 65_535


class AddressError(Exception):
    """HOST and PORT cannot be listened on; the message names the one to change."""


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, not listening yet. Port 0 is any free one. Raises `AddressError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise AddressError(f"HOST={host} is no address of this machine") from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise AddressError(_problem(host, port, error)) from error
    return bound


def url_of(bound: socket.socket) -> str:
    """How to reach it from this machine."""
    host, port = bound.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound to
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _problem(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            other = port + 1 if port < PORT_MAX else PORT_MAX - 1
            return (
                f"port {port} of {host} is taken by another program: set PORT to a free one, "
                f"say PORT={other}, or PORT=0 for any"
            )
        case errno.EACCES:
            return f"PORT={port} is for root only: set PORT to 1024 or more"
        case _:
            return f"cannot listen on HOST={host} PORT={port}: {error.strerror}"
