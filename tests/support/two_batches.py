"""Two batches of one ledger that are both at the server, the first of them held up there."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from unittest.mock import patch

from ledger.batch import Outcome
from ledger.commands import Submission
from ledger.ledger import Ledger
from ledger.pipeline import SHARE_MIN
from ledger_running import wait_until, writers_locked
from ledger_samples import grant, plain

SECOND = SHARE_MIN
"""How many commands make a batch that is sent behind another."""


@contextmanager
def two_under_way(
    ledger: Ledger, url: str, first: Submission, second: Sequence[Submission]
) -> "Iterator[list[Future[Outcome]]]":
    """Inside, both are sent and neither is written; once outside, they go on.

    `url` leads to the server itself. The ledger has written alone before.
    """
    assert len(second) == SECOND
    recording = ledger.committer._pipeline._recording
    callers = ThreadPoolExecutor(1 + SECOND)
    with writers_locked(url), patch.object(recording, "send", wraps=recording.send) as send:
        futures = [callers.submit(ledger.record, first)]
        wait_until(lambda: send.call_count == 1, "a batch under way")
        for number, submission in enumerate(second, 1):
            futures.append(callers.submit(ledger.record, submission))
            wait_until(
                lambda: send.call_count == 2 or decided(ledger) == number,  # noqa: B023 - called at once
                "a command decided",
            )
        assert send.call_count == 2
        callers.shutdown(wait=False)
        yield futures


def make_ready(ledger: Ledger) -> None:
    """`ann` has an account, and the ledger knows that it writes alone."""
    for _ in range(2):
        ledger.record(plain(grant(1)))


def decided(ledger: Ledger) -> int:
    """How many commands are decided, and not sent yet."""
    ahead = ledger.committer._pipeline._ahead
    return len(ahead.waiting) if ahead else 0
