"""The listening end: takes the guests' commands in and hands their answers back."""

import contextlib
import select
import socket
from collections.abc import Iterator, Sequence

import msgspec

from ledger import metrics
from ledger.bell import Watched
from ledger.commands import Submission
from ledger.relay import forms, place
from ledger.relay.forms import Result
from ledger.relay.link import Link, LinkLostError

GUESTS_MAX = 256


class Reply(msgspec.Struct, frozen=True, eq=False):
    """Where the answer to a guest's command goes."""

    link: Link
    number: int
    left: int
    """How many of its message are left with it: they came together, and go together if they can."""

    def follows(self, before: object) -> bool:
        """Whether it is the next of the same message."""
        return (
            isinstance(before, Reply)
            and before.link is self.link
            and (before.number, before.left) == (self.number - 1, self.left + 1)
        )


Arrived = tuple[Submission, Reply]


class Hub:
    """Listens for guests. For one thread."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._guests: dict[int, Link] = {}
        self._welcome: set[int] = set()  # those that have said which version they are of
        self._polled: dict[int, int] = {}
        self._poll = select.poll()

    def watched(self) -> Iterator[tuple[Watched, int]]:
        """What `handle` wants to be told of, and which of poll's events."""
        if len(self._guests) < GUESTS_MAX:
            yield self._listener, select.POLLIN
        for link in self._guests.values():
            yield link, link.events

    def handle(self) -> list[Arrived]:
        """Commands that have come, of all guests."""
        self._listen()
        arrived: list[Arrived] = []
        for descriptor, events in self._poll.poll(0):
            if link := self._guests.get(descriptor):
                try:
                    link.flush()
                    if events & ~select.POLLOUT:
                        self._read(descriptor, link, arrived)
                except (LinkLostError, msgspec.DecodeError):
                    self._drop(descriptor)
            elif descriptor == self._listener.fileno():
                self._let_in()
        return arrived

    def answer(self, answers: Sequence[tuple[Reply, Result]]) -> None:
        """Send results to whom they belong; a guest that is gone asks the log itself."""
        by_link: dict[Link, list[tuple[int, Result]]] = {}
        for reply, result in answers:
            by_link.setdefault(reply.link, []).append((reply.number, result))
        for link, numbered in by_link.items():
            descriptor = link.fileno()
            if self._guests.get(descriptor) is link:
                try:
                    link.send(forms.encode_answers(numbered))
                except LinkLostError:
                    self._drop(descriptor)

    def close(self) -> None:
        """Let nobody in any more, and every guest go."""
        with contextlib.suppress(OSError):  # nobody is to wait here, whoever has duplicates
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for descriptor in list(self._guests):
            self._drop(descriptor)

    def _let_in(self) -> None:
        try:
            connected, _ = self._listener.accept()
        except OSError:
            return
        if not place.is_own(connected):
            connected.close()
            return
        link = Link(connected)
        self._guests[link.fileno()] = link
        metrics.RELAY_GUESTS.set(len(self._guests))

    def _listen(self) -> None:
        wanted = {watched.fileno(): events for watched, events in self.watched()}
        if wanted == self._polled:
            return
        for gone in self._polled.keys() - wanted.keys():
            self._poll.unregister(gone)
        for descriptor, events in wanted.items():
            self._poll.register(descriptor, events)
        self._polled = wanted

    def _read(self, descriptor: int, link: Link, arrived: list[Arrived]) -> None:
        for message in link.receive():
            if descriptor in self._welcome:
                first, submissions = forms.decode_commands(message)
                left = len(submissions)
                for index, submission in enumerate(submissions):
                    arrived.append((submission, Reply(link, first + index, left - index)))
            elif message == forms.VERSION:
                self._welcome.add(descriptor)
                link.send(forms.VERSION)
            else:
                raise LinkLostError("it is of another version")

    def _drop(self, descriptor: int) -> None:
        self._guests.pop(descriptor).close()
        self._welcome.discard(descriptor)
        metrics.RELAY_GUESTS.set(len(self._guests))
