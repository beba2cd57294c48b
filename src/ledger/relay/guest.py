"""The other end: hands commands to the hub, and knows which are not answered."""

import select
import socket
import time
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from ledger import metrics
from ledger.bell import Watched
from ledger.commands import Submission
from ledger.relay import forms, place
from ledger.relay.forms import Result
from ledger.relay.link import Link, LinkLostError

T = TypeVar("T")

ANSWER_SECONDS_MAX = 20.0
"""A hub that takes longer counts as lost: a little more than it waits for the server itself."""

COMMANDS_MAX = 512
"""In one message."""


class Guest(Generic[T]):
    """Linked to a hub. For one thread; `T` is what comes along with a command."""

    def __init__(self, connected: socket.socket) -> None:
        """Say which version we are of, and give the hub a while to say so too.

        One that is slow to (it may be reading accounts) is listened for. Raises `LinkLostError`.
        """
        self.is_welcome = False
        self._link = Link(connected)
        self._number = 0
        self._taken: list[tuple[Submission, T]] = []
        self._unsaid: list[T] = []
        self._unanswered: dict[int, tuple[float, T]] = {}
        try:
            self._link.send(forms.VERSION)
            poll = select.poll()
            poll.register(connected, select.POLLIN)
            if poll.poll(place.CONNECT_SECONDS_MAX * 1000):
                self.handle()
        except LinkLostError:
            self._link.close()
            raise

    def watched(self) -> Iterator[tuple[Watched, int]]:
        """What `handle` wants to be told of, and which of poll's events."""
        yield self._link, self._link.events

    @property
    def seconds_left(self) -> float | None:
        """Until the hub is overdue; None while nothing is asked of it."""
        oldest = next(iter(self._unanswered.values()), None)
        return max(0.0, oldest[0] - time.monotonic()) if oldest else None

    def put(self, submission: Submission, waiting: T) -> None:
        """Take a command along with the next `send`."""
        self._taken.append((submission, waiting))

    def send(self) -> list[T]:
        """Send what was put, but for what cannot be said, which is handed back.

        Raises `LinkLostError`.
        """
        while self._taken:
            together, self._taken = self._taken[:COMMANDS_MAX], self._taken[COMMANDS_MAX:]
            self._send(together)
        unsaid, self._unsaid = self._unsaid, []
        return unsaid

    def handle(self) -> list[tuple[T, Result]]:
        """Results that have come. Raises `LinkLostError`, also where the hub is overdue."""
        results: list[tuple[int, Result]] = []
        self._link.flush()
        try:
            for message in self._link.receive():
                if self.is_welcome:
                    results += forms.decode_answers(message)
                elif message == forms.VERSION:
                    self.is_welcome = True
                else:
                    raise LinkLostError("it is of another version")
        except msgspec.DecodeError as error:
            raise LinkLostError(str(error)) from error
        if not results and self.seconds_left == 0.0:
            raise LinkLostError("it takes too long")
        unanswered = self._unanswered
        return [
            (unanswered.pop(number)[1], result)
            for number, result in results
            if number in unanswered
        ]

    def close(self) -> list[T]:
        """Give the link up; returns what came with the commands that were not answered."""
        self._link.close()
        lost = [waiting for _, waiting in self._unanswered.values()]
        lost += [*self._unsaid, *(waiting for _, waiting in self._taken)]
        self._unanswered.clear()
        return lost

    def _send(self, together: list[tuple[Submission, T]]) -> None:
        first = self._number + 1
        try:
            message = forms.encode_commands(first, [submission for submission, _ in together])
        except forms.UNSAYABLE:
            self._unsaid += [each[1] for each in together if not forms.can_say(each[0])]
            together = [each for each in together if forms.can_say(each[0])]
            message = forms.encode_commands(first, [submission for submission, _ in together])
        until = time.monotonic() + ANSWER_SECONDS_MAX
        for number, (_, waiting) in enumerate(together, first):
            self._unanswered[number] = (until, waiting)
        self._number += len(together)
        self._link.send(message)
        metrics.RELAYED.inc(len(together))
