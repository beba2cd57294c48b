"""Whether all who are under way belong into one commit, or into two by halves: as it is measured.

Two batches, one written while the other is decided, keep the client and the server busy, for a
flush each. All in one takes one flush, and the server idles while the client tells, hears and
decides for all of them: better where that takes less than the flush, and where whoever was told
asks again at once. Then the next batch is put off for them a little, though others wait already.
"""

TURNS = 3
"""So many turns of the event loop whoever was told has to ask again."""

FLUSH_PART = 0.8
"""Of the time that a commit takes; the rest is for its rows."""

WEIGHT = 1 / 8
JUMP_MAX = 2.0
"""A measure counts so much in its mean, and as no more than so many times that."""

WORK_SECONDS_MIN = 1e-9
"""Less for a command is no measure."""

AGAIN_MIN = 0.5
AGAIN_WEIGHT = 1 / 4
RETRIED = 64
"""Where fewer than half ask again in time, all in one is tried once in so many commits."""


class Share:
    """For one thread at a time. It reads no clock: times are handed to it, in seconds."""

    def __init__(self, least: int) -> None:
        """Fewer than `least` are not worth a commit of their own, whatever is measured."""
        self._least = least
        self.forget()

    def forget(self) -> None:
        """Halves it is, until something is measured."""
        self._commits = 0
        self._commit_seconds = self._work_seconds = 0.0
        self._finished_at = 0.0
        self._worked: float | None = None
        self._again = AGAIN_MIN
        self._turns = self._told = self._before = 0

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
            self._commit_seconds = _mean(self._commit_seconds, finished_at - began_at)
            work = max(worked - self._worked, 0.0)  # by another thread's clock it can be anything
            self._work_seconds = _mean(self._work_seconds, work / commands)
        self._finished_at, self._worked = finished_at, worked
        self._commits += 1
        if self._commits % RETRIED == 0:
            self._again = max(self._again, AGAIN_MIN)

    def puts_off(self, told: int, under_way: int) -> bool:
        """Whether the next batch, to which so many belong by now, is put off for who is told."""
        if not self._least < told + under_way <= self._handled:
            return False
        self._turns, self._told, self._before = TURNS, told, under_way
        return True

    def is_put_off(self, under_way: int) -> bool:
        """Whether it still is; each call is a turn."""
        if not self._turns:
            return False
        again = under_way - self._before
        self._turns -= 1
        if self._turns and again < self._told:
            return True
        self._turns = 0
        self._again += AGAIN_WEIGHT * (min(again / self._told, 1.0) - self._again)
        return False

    @property
    def _handled(self) -> int:
        """How many the client tells, hears and decides for during a flush."""
        if self._again < AGAIN_MIN or self._work_seconds < WORK_SECONDS_MIN:
            return 0
        return int(FLUSH_PART * self._commit_seconds / self._work_seconds)


def _mean(mean: float, measured: float) -> float:
    return mean + WEIGHT * (min(measured, JUMP_MAX * mean) - mean) if mean else measured
