"""What a process is to the others of its host: nothing yet, their hub, or a guest of it."""

import time
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import structlog

from ledger.bell import Watched
from ledger.commands import Submission
from ledger.relay import forms, place
from ledger.relay.forms import Result
from ledger.relay.guest import Guest
from ledger.relay.hub import Arrived, Hub, Reply
from ledger.relay.link import LinkLostError

T = TypeVar("T")

RETRY_SECONDS = 10.0
"""So long a process goes on by itself where there is a hub that it cannot talk to."""

NOBODY_SECONDS = 0.1
"""So long where there seems to be none, and yet the place is taken."""

_log = structlog.get_logger("ledger.relay")


class Relay(Generic[T]):
    """For one thread; `T` is what comes along with a command of our own."""

    def __init__(self, url: str) -> None:
        """The place is looked for with the first command."""
        self._name = place.name_of(url)
        self._hub: Hub | None = None
        self._guest: Guest[T] | None = None
        self._lost: list[T] = []
        self._try_at = 0.0
        self._closed = False

    def is_due(self, submission: Submission) -> bool:
        """Whether to `look`, before this command, for somebody who records it."""
        alone = self._hub is None and self._guest is None
        if not alone or self._closed or not forms.can_carry(submission):
            return False
        return time.monotonic() >= self._try_at

    def look(self) -> Sequence[Result]:
        """Become the hub or a guest of it, which may take a while; it leads to no results."""
        if listener := place.listen(self._name):
            self._hub = Hub(listener)
            return ()
        self._try_at = time.monotonic() + NOBODY_SECONDS
        if connected := place.connect(self._name):
            try:
                self._guest = Guest(connected)
            except LinkLostError as error:
                _log.info("no hub to be had", reason=str(error))
                self._try_at = time.monotonic() + RETRY_SECONDS
        return ()

    def take(self, submission: Submission, waiting: T) -> bool:
        """Whether the hub is to record it, with the next `send`; otherwise it is ours to record."""
        guest = self._guest
        if guest is None or not guest.is_welcome or self._closed:
            return False
        if not forms.can_carry(submission):
            return False
        guest.put(submission, waiting)
        return True

    def send(self) -> list[T]:
        """Send what was taken; what turns out to be ours to record is handed back."""
        if self._guest:
            try:
                return self._guest.send()
            except LinkLostError as error:
                self._leave(error)
        return []

    def watched(self) -> Iterator[tuple[Watched, int]]:
        """What to be woken by, and upon which of poll's events."""
        end = self._hub or self._guest
        if end and not (self._closed and end is self._hub):
            yield from end.watched()

    @property
    def seconds_left(self) -> float | None:
        """How long may be slept at most."""
        return self._guest.seconds_left if self._guest else None

    @property
    def is_waiting(self) -> bool:
        """Whether there are commands of ours that nobody has answered."""
        return bool(self._lost) or self.seconds_left is not None

    def arrived(self) -> list[Arrived]:
        """What guests ask for."""
        return self._hub.handle() if self._hub and not self._closed else []

    def answered(self) -> list[tuple[T, Result]]:
        """What the hub has answered."""
        if self._guest is None:
            return []
        try:
            return self._guest.handle()
        except LinkLostError as error:
            self._leave(error)
            return []

    def lost(self) -> list[T]:
        """What was asked of a hub that is gone: it may be in the log, or not."""
        lost, self._lost = self._lost, []
        return lost

    def answer(self, answers: Sequence[tuple[Reply, Result]]) -> None:
        """Tell guests."""
        if self._hub and answers:
            self._hub.answer(answers)

    def stop(self) -> None:
        """Take nothing more in; what was taken is still answered."""
        self._closed = True

    def close(self) -> None:
        """Give every link up."""
        if self._hub:
            self._hub.close()
        if self._guest:
            self._guest.close()

    def _leave(self, error: LinkLostError) -> None:
        assert self._guest is not None
        self._lost += self._guest.close()
        self._try_at = 0.0 if self._guest.is_welcome else time.monotonic() + RETRY_SECONDS
        self._guest = None
        _log.info("hub lost", reason=str(error), unanswered=len(self._lost))
