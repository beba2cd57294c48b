"""Whether all who are under way belong into one commit, or into two by halves: as it is measured.

Two batches, one written while the other is decided, keep the client and the server busy, for a
flush each. All in one takes one flush, and the server idles while the client tells, hears and
decides for all of them: better where that takes less than the flush, and where whoever was told
asks again at once. Then the next batch is put off for them a little, though others wait already.
"""

TURNS = 5
"""So many turns of the event loop whoever was told has to ask again."""

ROW_PART = 0.5
"""What a row takes of a commit, of the client's work for a command; the rest of it is the flush.

That it is about so is measured; were a row much dearer, all in one would be chosen for too many.
"""

WEIGHT = 1 / 8
JUMP_MAX = 2.0
"""A measure counts so much in its mean, and as no more than so many times that."""

WORK_SECONDS_MIN = 1e-9
"""Less for a command is no measure."""

AGAIN_MIN = 0.5
AGAIN_WEIGHT = 1 / 4
RETRIED = 64
"""Where fewer than half ask again in time, all in one is tried again after so many commits."""


class Share:
    """For one thread at a time. It reads no clock: times are handed to it, in seconds."""

    def __init__(self, least: int, most: int) -> None:
        """Fewer than `least` are not worth a commit of their own; more than `most` fit in none."""
        self._least = least
        self._most = most
        self.forget()

    def forget(self) -> None:
        """Halves it is, until something is measured."""
        self._commit_seconds = self._work_seconds = self._commands = 0.0
        self._finished_at = 0.0
        self._worked: float | None = None
        self._again = 1.0
        self._in_vain = 0
        self.give_up()

    def of(self, under_way: int) -> int:
        """How many of so many commands a batch takes in before it may follow another."""
        together = max(self._handled, self._least)
        return together if under_way <= together else max(under_way // 2, self._least)

    def measure(self, commands: int, sent_at: float, finished_at: float, worked: float) -> None:
        """A batch of so many was sent and answered then.

        `worked` is how long the one thread that decides, and that they ask from, has been at work.
        """
        if self._worked is not None:
            began_at = max(sent_at, self._finished_at)  # it may have lain at the server
            work = max(worked - self._worked, 0.0)  # by another thread's clock it can be anything
            self._commit_seconds = _mean(self._commit_seconds, max(finished_at - began_at, 0.0))
            self._work_seconds = _mean(self._work_seconds, work / commands)
            self._commands = _mean(self._commands, commands)
        self._finished_at, self._worked = finished_at, worked
        if self._again < AGAIN_MIN:
            self._in_vain += 1
            if self._in_vain == RETRIED:
                self._again, self._in_vain = AGAIN_MIN, 0

    def puts_off(self, told: int, under_way: int) -> bool:
        """Whether the next batch, to which so many belong by now, is put off for who is told."""
        if not self._least < told + under_way <= self._handled:
            return False
        self._turns, self._told, self._before = TURNS, told, under_way
        return True

    def is_put_off(self, under_way: int, *, turn: bool) -> bool:
        """Whether it still is, when so many belong to it; `turn` says that a turn is over."""
        if not self._turns:
            return False
        again = min(max(under_way - self._before, 0), self._told)
        self._turns -= turn
        if self._turns and again < self._told:
            return True
        self._turns = 0
        self._again += AGAIN_WEIGHT * (again / self._told - self._again)
        return False

    @property
    def waits(self) -> bool:
        """Whether turns are to be counted."""
        return self._turns > 0

    def give_up(self) -> None:
        """Put it off no longer; that says nothing about whoever was told."""
        self._turns = self._told = self._before = 0

    @property
    def _handled(self) -> int:
        """How many the client tells, hears and decides for during a flush; `most` at most."""
        if self._again < AGAIN_MIN or self._work_seconds < WORK_SECONDS_MIN:
            return 0
        flush = self._commit_seconds / self._work_seconds - ROW_PART * self._commands
        return int(min(flush, self._most))


def _mean(mean: float, measured: float) -> float:
    return mean + WEIGHT * (min(measured, JUMP_MAX * mean) - mean) if mean else measured
