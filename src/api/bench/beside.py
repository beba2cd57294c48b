"""Our ledger while somebody else writes now and then: a second host, or support.

That other is a ledger with a connection of its own, in a thread of the same process.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from api.bench import work
from api.bench.callers import Run
from api.bench.ours import Warmed
from ledger.commands import GrantTokens, Submission
from ledger.ledger import Ledger

EVERY_SECONDS = 0.1


class BesideAnother(Warmed):
    """Another writer grants an account a token, ten times a second."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._other = Ledger(url)

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """On accounts that `pick` picks, for both."""
        with self._another_writing(pick):
            return super().measure(pick, callers=callers, seconds=seconds)

    def close(self) -> None:
        """End both."""
        self._other.close()
        super().close()

    @contextmanager
    def _another_writing(self, pick: work.PickAccount) -> Iterator[None]:
        ended = threading.Event()

        def write() -> None:
            while not ended.wait(EVERY_SECONDS):
                command = GrantTokens(account_id=pick(), amount=1, reason="promo")
                self._other.record(Submission(command=command, actor="another"))

        with ThreadPoolExecutor(1) as thread:
            writing = thread.submit(write)
            try:
                yield
            finally:
                ended.set()
            writing.result()  # or nobody was beside us
