"""What the group committer does, step by step: take in, decide, send, be answered, tell.

A batch is what came in while the last one was being written: half of what is under way, or all of
it where the flush is slow (`ledger.share`). While no other process writes it is decided meanwhile,
on cached accounts, and written without reading: sent behind the last one once it has its share.
Otherwise the accounts are brought level with the log under the writers' lock, the commands decided
in the order they came, and the facts appended; so no conflict can happen, from any process.
"""

import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import structlog

from ledger.ahead import Ahead
from ledger.answers import Waiting, tell
from ledger.bell import Watched
from ledger.errors import LedgerBusyError, LedgerUnavailableError
from ledger.recording import Recording, Result
from ledger.relay import Relay, Reply
from ledger.share import Share

BATCH_MAX = 512
WRITING_MAX = 2
"""So many batches lie at the server: it goes from one to the next without waiting for us."""

SHARE_MIN = 16
"""Fewer than this are not worth a commit of their own while more are coming; more, where whoever
asks has much else to do for each on the same processor."""

WAITING_MAX = 20_000

_log = structlog.get_logger("ledger.committer")


class Job:
    """Part of the work that waits for the server or another process: no step is taken meanwhile."""

    def __init__(self, waiting: Sequence[Waiting], work: Callable[[], Sequence[Result]]) -> None:
        self.waiting = waiting
        self.results: Sequence[Result] = ()
        self._work = work

    def run(self) -> None:
        """Do it; `Pipeline.complete` tells who waits for it."""
        try:
            self.results = self._work()
        except Exception as error:  # noqa: BLE001 - else nobody would do the next one
            _log.error("the committer's work failed", exc_info=error)
            self.results = [LedgerUnavailableError() for _ in self.waiting]


class Pipeline:
    """Owns one connection. One thread at a time takes steps, and none of them waits.

    `waiting` is what is still to be taken in: any thread may append to it while there is `room`.
    """

    def __init__(self, url: str, *, shares_writer: bool, share_min: int) -> None:
        self.waiting: deque[Waiting] = deque()
        self.job: Job | None = None
        self.closing = False
        self._share = Share(share_min, BATCH_MAX)
        self._recording = Recording(url)
        self._relay: Relay[Waiting] | None = Relay(url) if shares_writer else None
        self._ahead: Ahead[Waiting] | None = None
        self._slow: list[Waiting] = []
        self._lost: list[Waiting] = []  # a hub that is gone may have recorded them
        self._writing: deque[Ahead[Waiting]] = deque()  # the second stands on the first
        self._here: AbstractEventLoop | None = None

    @property
    def room(self) -> int:
        """How many more may wait."""
        return max(WAITING_MAX - len(self.waiting), 0)

    @property
    def is_over(self) -> bool:
        """Whether it is closing, and nothing is left to be recorded or answered."""
        owed = self._relay is not None and self._relay.is_waiting
        under_way = self.job or self._writing or self._ahead or self._slow or self._lost
        return self.closing and not (owed or under_way or self.waiting)

    def step(
        self, here: AbstractEventLoop | None = None, *, heard: bool = True, turn: bool = False
    ) -> bool:
        """Do some of what there is to do; whether there may be more of it at once.

        `here` is the event loop that this runs on, if any; `heard` is whether another process may
        have said something, `turn` whether the loop has had a turn since there was said to be more.
        While there is a `job` nothing is done.
        """
        if self.job:
            return False
        self._here = here
        if self._relay:
            self._exchange(self._relay, heard=heard)
        self._take_in()
        if self.job:
            return False
        if not self._writing:
            if self._is_put_off(turn=turn):
                return True
            self._write_out()
        elif self._recording.answers.has_come():
            self._finish()
        elif self._may_follow():
            self._send()
        else:
            return False
        if self.job:
            return False
        if self._writing:
            return bool(self.waiting) or self._recording.answers.is_here
        return bool(self.waiting or self._ahead or self._slow or self._lost) or self._share.waits

    def complete(self, job: Job) -> None:
        """Tell what a job led to, and go on."""
        self.job = self._here = None
        self._answer(job.waiting, job.results)

    def watched(self) -> Iterator[tuple[Watched, int]]:
        """What a step may be taken for, and upon which of poll's events; 0 for none just now."""
        if self._relay:
            for each, events in self._relay.watched():
                yield each, 0 if self.job else events
        if server := self._recording.session:
            yield server, server.answers.events if self._writing and not self.job else 0

    @property
    def seconds_left(self) -> float | None:
        """How long may be waited for that; None for ever."""
        if self.job:
            return None
        relay = self._relay.seconds_left if self._relay else None
        server = self._recording.answers.seconds_left if self._writing else None
        return min((s for s in (relay, server) if s is not None), default=None)

    def is_server(self, watched: Watched) -> bool:
        """Whether this is the server's connection, and no other process."""
        return watched is self._recording.session

    def is_full(self) -> bool:
        """Whether the batch has its share, so that another may be decided while it is written."""
        return self._lacking <= 0

    @property
    def _lacking(self) -> int:
        ahead = len(self._ahead.waiting) if self._ahead else 0
        if self._slow:
            return BATCH_MAX - ahead - len(self._slow)
        writing = sum(len(each.waiting) for each in self._writing)
        lacking = min(self._share.of(writing + self._under_way), BATCH_MAX) - ahead
        if self._ahead and not self._ahead.batch.rows and ahead < BATCH_MAX:
            return max(lacking, 1)  # what is refused goes along with something
        return lacking

    @property
    def _under_way(self) -> int:
        """How many are not sent yet."""
        return len(self.waiting) + (len(self._ahead.waiting) if self._ahead else 0)

    def close(self) -> None:
        """Give the connection and every link up."""
        if self._relay:
            self._relay.close()
        self._recording.close()

    def _exchange(self, relay: "Relay[Waiting]", *, heard: bool) -> None:
        """Take in what guests ask, tell our callers what the hub has answered."""
        if self.closing:
            relay.stop()
        if heard:
            for submission, reply in relay.arrived():
                if self.room:
                    self.waiting.append((submission, reply))
                else:
                    relay.answer([(reply, LedgerBusyError())])
            if told := relay.answered():
                self._answer([waiting for waiting, _ in told], [result for _, result in told])

    def _take_in(self) -> None:
        relay = self._relay
        last: Waiting | None = None
        while not self.job and self.waiting and (lacking := self._lacking) > 0:
            for _ in range(min(lacking, len(self.waiting))):
                if relay and relay.is_due(self.waiting[0][0]):
                    self.job = Job((), relay.look)
                    break
                last = self.waiting.popleft()
                if not (relay and relay.take(last[0], last)):
                    self._decide_ahead(last)
        while last and not self.job and self._goes_along(last):
            last = self.waiting.popleft()
            self._decide_ahead(last)
        if relay:
            for unsaid in relay.send():
                self._decide_ahead(unsaid)
            self._lost += relay.lost()  # whether that was heard, or found in sending

    def _goes_along(self, last: Waiting) -> bool:
        """Whether the next came in one message with `last`, and makes the batch little larger.

        What is decided together is answered in one message, and each wakes a process.
        """
        if self._slow or not self._ahead or not self.waiting:
            return False
        whose, ahead = self.waiting[0][1], len(self._ahead.waiting)
        if not isinstance(whose, Reply) or not whose.follows(last[1]):
            return False
        return whose.left <= min(ahead // 2, BATCH_MAX - ahead)

    def _decide_ahead(self, waiting: Waiting) -> None:
        if self._ahead is None:
            self._ahead = self._recording.ahead()
        if self._slow or self._ahead is None or not self._ahead.take(waiting[0], waiting):
            self._slow.append(waiting)  # and all after it, since the order is kept

    def _write_out(self) -> None:
        """Send what was decided ahead; what has to be read for comes after it."""
        if self._ahead:
            self._send()
        elif self._lost:
            lost, self._lost = self._lost, []
            submissions = [submission for submission, _ in lost]
            self.job = Job(lost, lambda: self._recording.record_again(submissions))
        elif self._slow:
            slow, self._slow = self._slow, []
            submissions = [submission for submission, _ in slow]
            self.job = Job(slow, lambda: self._recording.record(submissions))

    def _may_follow(self) -> bool:
        """Whether what was decided ahead can go to the server while another is there.

        It has its share, so nothing that comes meanwhile would go with it.
        """
        ahead = self._ahead
        if ahead is None or len(self._writing) == WRITING_MAX or not self.is_full():
            return False
        return self._recording.can_follow(ahead)

    def _send(self) -> None:
        """Send what was decided ahead, if anything was."""
        ahead, self._ahead = self._ahead, None
        if ahead and not ahead.batch.rows:
            self._slow = [*ahead.waiting, *self._slow]  # all of it is refused: there is no commit
        elif ahead:
            before = self._writing[-1] if self._writing else None
            self._writing.append(ahead)
            try:
                self._recording.send(ahead, before)
            except Exception as error:  # noqa: BLE001 - the next attempt tells what it is
                self._fall(error)

    def _finish(self) -> None:
        """Send the next before telling anybody of the last, so that no server idles.

        Unless those who are told belong to the next.
        """
        written = self._writing[0]
        try:
            self._recording.finish(written)
        except Exception as error:  # noqa: BLE001 - the next attempt tells what it is
            self._fall(error)
            return
        self._writing.popleft()
        self._measure(written)
        if self._writing:
            if self._may_follow():
                self._send()
        elif not self._share.puts_off(len(written.waiting), self._under_way):
            self._send()
        self._answer(written.waiting, written.results)

    def _is_put_off(self, *, turn: bool) -> bool:
        if self._here is None or self._slow or self._lost:
            self._share.give_up()  # whoever asks now would not join it: the order is kept
        return self._share.is_put_off(self._under_way, turn=turn)

    def _measure(self, written: "Ahead[Waiting]") -> None:
        if self._here:
            commands, now = len(written.waiting), time.perf_counter()
            self._share.measure(commands, written.sent_at, now, time.thread_time())
        else:
            self._share.forget()  # the threads that ask work beside this one

    def _fall(self, error: Exception) -> None:
        """What is under way was not written as decided; what was since stood on what is not so."""
        failed, self._writing = self._writing, deque()
        since, self._ahead = self._ahead, None
        self._slow = [*(since.waiting if since else ()), *self._slow]
        waiting = [each for ahead in failed for each in ahead.waiting]
        self.job = Job(waiting, lambda: self._recording.retry(failed, error))

    def _answer(self, batch: Sequence[Waiting], results: Sequence[Result]) -> None:
        replies = tell(batch, results, self._here)
        if self._relay:
            self._relay.answer(replies)
