"""A TCP proxy before PostgreSQL that loses the connection at COMMIT, before or after it counts.

It reads as much of the protocol as it takes: a statement (`Query`, or `Parse` in a pipeline) that
holds a COMMIT, the `Sync` that commits an append which is a transaction of its own, and the
server's `ReadyForQuery` that says the transaction is over.
"""

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

Where = Literal["before", "half", "after"]

_SSL_OR_GSS = {80877103, 80877104}
_COMMIT = re.compile(rb"\bCOMMIT\b", re.IGNORECASE)
_APPEND = re.compile(rb"\0ledger_append_(alone|next)\0")  # in a Bind: of the unnamed portal, to one
_READY = b"Z\x00\x00\x00\x05"  # and I: nothing is open, or E: the transaction has failed
SECONDS_MAX = 60.0
CHUNK = 65_536


class CuttingProxy:
    """Listens on loopback for the server of `url`; `.url` leads through it.

    `cuts` counts the connections cut so far, `commits` the COMMITs seen.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.upstream = (parts.hostname or "", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        user, _, _ = parts.netloc.rpartition("@")
        self.url = urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}"))
        self.cuts = 0
        self.commits = 0
        self._plan: list[Where | None] = []
        self._then_refuse = False
        self._refusing = False
        self._gate = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_all()
        for thread in self._threads:
            thread.join(SECONDS_MAX)
            assert not thread.is_alive()

    def cut(self, *plan: Where | None, then_refuse: bool = False) -> None:
        """For the next COMMITs: cut before, in the midst of, or after it; None lets it through.

        `then_refuse`: with the last cut, refuse connections until `allow`.
        """
        with self._gate:
            self._plan = list(plan)
            self._then_refuse = then_refuse

    def refuse(self) -> None:
        """Take no connections until `allow`."""
        self._refusing = True

    def allow(self) -> None:
        """Take connections again."""
        self._refusing = False

    def drop_all(self) -> None:
        """Cut every connection now."""
        with self._gate:
            for end in self._open:
                _hang_up(end)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(self.upstream, SECONDS_MAX)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                # Else each message waits until the last one's receipt is told: 40 ms.
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._gate:
                self._open |= {client, server}
            answered = threading.Event()
            swallow = threading.Event()
            self._start(self._forward, client, server, swallow, answered)
            self._start(self._answer, server, client, swallow, answered)

    def _forward(
        self,
        client: socket.socket,
        server: socket.socket,
        swallow: threading.Event,
        answered: threading.Event,
    ) -> None:
        with contextlib.suppress(OSError):
            appending = False
            for message in _messages(client):
                appending |= message.startswith(b"B") and bool(_APPEND.search(message[:64]))
                where = self._at_commit(message, appending=appending)
                appending &= not message.startswith(b"S")
                if where is None:
                    server.sendall(message)
                    continue
                if where == "half":
                    server.sendall(message[: len(message) // 2])
                if where == "after":
                    swallow.set()
                    server.sendall(message)
                    assert answered.wait(SECONDS_MAX)
                    if not swallow.is_set():  # nothing was committed: wait for the next
                        answered.clear()
                        continue
                else:
                    self.cuts += 1
                break
        _hang_up(client)
        _hang_up(server)

    def _answer(
        self,
        server: socket.socket,
        client: socket.socket,
        swallow: threading.Event,
        answered: threading.Event,
    ) -> None:
        kept = b""
        with contextlib.suppress(OSError):
            while data := server.recv(CHUNK):
                kept += data
                # Asked once: what is sent on below may bring the next COMMIT.
                swallowing = swallow.is_set()
                if swallowing and kept[-6:-1] != _READY:
                    continue
                if swallowing and kept.endswith(b"I"):
                    self.cuts += 1  # before anyone can notice
                    break
                client.sendall(kept)
                kept = b""
                if swallowing:
                    with self._gate:
                        self._plan.insert(0, "after")
                        self._refusing = False
                    swallow.clear()
                    answered.set()
        answered.set()
        _hang_up(server)
        _hang_up(client)
        with self._gate:
            self._open -= {client, server}
        client.close()
        server.close()

    def _at_commit(self, message: bytes, *, appending: bool) -> Where | None:
        told = message[:1] in b"QP" and _COMMIT.search(message)
        if not told and not (appending and message.startswith(b"S")):
            return None
        with self._gate:
            self.commits += 1
            where = self._plan.pop(0) if self._plan else None
            if where is not None and not self._plan and self._then_refuse:
                self._refusing = True
            return where

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()


def _messages(client: socket.socket) -> Iterator[bytes]:
    """What the client sends, message by message: first the untyped ones of the start-up."""
    stream = client.makefile("rb")
    while True:
        head = stream.read(8)
        if len(head) < 8:
            return
        length, code = struct.unpack("!II", head)
        yield head + stream.read(length - 8)
        if code not in _SSL_OR_GSS:
            break
    while len(head := stream.read(5)) == 5:
        (length,) = struct.unpack("!I", head[1:])
        body = stream.read(length - 4)
        if len(body) < length - 4:
            return
        yield head + body


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
