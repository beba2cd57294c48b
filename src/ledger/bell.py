"""Waking a thread that sleeps until the server answers or a command comes, whichever is first."""

import contextlib
import math
import select
import socket
from collections.abc import Iterable
from typing import Protocol


class Watched(Protocol):
    """What has a descriptor that something may come from."""

    def fileno(self) -> int:
        """The descriptor."""


class Bell:
    """Any thread may ring; one sleeps. To ring for one that is awake costs no system call."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair()
        self._here.settimeout(0)
        self._there.settimeout(0)
        self._asleep = False

    def ring(self) -> None:
        """Wake who has lain down; what is to be found must be in place already."""
        if self._asleep:
            self._asleep = False
            self.call()

    def call(self) -> None:
        """Wake whoever sleeps, or cut the next sleep short."""
        with contextlib.suppress(BlockingIOError):  # it has been rung often enough
            self._there.send(b"\0")

    def lie_down(self) -> None:
        """Say that `sleep` follows: whoever rings from here on cuts it short.

        Look once more, between the two, for what was put in place before.
        """
        self._asleep = True

    def sleep(
        self, others: Iterable[tuple[Watched, int]] = (), seconds: float | None = None
    ) -> None:
        """Until somebody rings, or one of `others` (with poll's events, or 0) is ready.

        Or until so many seconds are over.
        """
        poll = select.poll()
        poll.register(self._here, select.POLLIN)
        for watched, events in others:
            if events:  # else its end would wake us, too
                poll.register(watched, events)
        poll.poll(None if seconds is None else math.ceil(seconds * 1000))
        self._asleep = False
        with contextlib.suppress(BlockingIOError):
            self._here.recv(4096)

    def close(self) -> None:
        """Give the sockets back; nobody may ring any more."""
        self._here.close()
        self._there.close()
