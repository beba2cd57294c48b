"""Messages over a stream socket, each way, without waiting: a length, then so many bytes."""

import contextlib
import select
import socket
import struct

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
UNSENT_BYTES_MAX = 2 * MESSAGE_BYTES_MAX
"""Whoever does not read is not written to for ever."""

_READ_BYTES = 64 * 1024
_LENGTH = struct.Struct("!I")


class LinkLostError(Exception):
    """The other end is gone, does not read, or sends what is no message."""


class Link:
    """One end of a connection. For one thread."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(0)
        self._socket = connected
        self._read = bytearray()
        self._unsent = bytearray()

    def fileno(self) -> int:
        """For `select.poll`, with `events`."""
        return self._socket.fileno()

    @property
    def events(self) -> int:
        """What is waited for: to read, always; to write, while something is unsent."""
        return select.POLLIN | (select.POLLOUT if self._unsent else 0)

    def send(self, message: bytes) -> None:
        """Send, now or when there is room. Raises `LinkLostError`."""
        if len(self._unsent) + len(message) > UNSENT_BYTES_MAX:
            raise LinkLostError("it does not read")
        whole = _LENGTH.pack(len(message)) + message
        if self._unsent:
            self._unsent += whole
            self.flush()
        elif (sent := self._send(whole)) < len(whole):
            self._unsent += whole[sent:]

    def flush(self) -> None:
        """Send what there is room for. Raises `LinkLostError`."""
        while self._unsent and (sent := self._send(self._unsent)):
            del self._unsent[:sent]

    def receive(self) -> list[bytes]:
        """The whole messages that have come. Raises `LinkLostError` once there will be no more."""
        try:
            read = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise LinkLostError(str(error)) from error
        if not read:
            raise LinkLostError("it is closed")
        come: bytes | bytearray = read
        if self._read:
            self._read += read
            come = self._read
        messages = []
        start, body = 0, _LENGTH.size
        while len(come) >= body:
            (length,) = _LENGTH.unpack_from(come, start)
            if length > MESSAGE_BYTES_MAX:
                raise LinkLostError("it sends too much")
            if len(come) < body + length:
                break
            start = body + length
            messages.append(bytes(come[body:start]))
            body = start + _LENGTH.size
        if come is self._read:
            del self._read[:start]
        elif start < len(come):
            self._read += come[start:]
        return messages

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkLostError(str(error)) from error

    def close(self) -> None:
        """Give the socket back; what is unsent is lost."""
        with contextlib.suppress(OSError):  # the other end is told at once, whoever has duplicates
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
