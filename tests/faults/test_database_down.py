"""The database dies under load and comes back: what was acknowledged is there, once."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from databases import TEST_SETTINGS, Database, temporary_home
from ledger.batch import Outcome
from ledger.commands import Submission
from ledger.embedded import EmbeddedPostgres
from ledger.entry import Entry
from ledger.errors import LedgerUnavailableError
from ledger.identity import new_id
from ledger.ledger import Ledger
from ledger.migrate import migrate
from ledger_running import running, wait_until, whole_log
from ledger_samples import grant, keyed, opening, plain, release, request, settle

CALLERS = 8
RETRY_SECONDS_MAX = 90.0
TERMINATE = """
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'mintage committer'"""


class Load:
    """Callers that spend until stopped, and repeat what they were not told the outcome of."""

    def __init__(self, ledgers: list[Ledger]) -> None:
        self.ledgers = ledgers
        self.acknowledged: list[Outcome] = []
        self.unknown = 0
        self.stop = threading.Event()
        self._gate = threading.Lock()

    def spend(self, number: int) -> None:
        """Request, settle or release, and grant, each under a key or a generation's id."""
        ledger = self.ledgers[number % len(self.ledgers)]
        turn = 0
        while not self.stop.is_set():
            turn += 1
            generation_id, key = new_id(), f"{number}-{turn}"
            self.insist(ledger, keyed(request(2, generation_id), key))
            ending = settle(generation_id) if turn % 2 else release(generation_id)
            self.insist(ledger, plain(ending))
            self.insist(ledger, keyed(grant(1), key))

    def insist(self, ledger: Ledger, submission: Submission) -> None:
        deadline = time.monotonic() + RETRY_SECONDS_MAX
        while True:
            try:
                outcome = ledger.record(submission)
            except LedgerUnavailableError:
                assert time.monotonic() < deadline
                with self._gate:
                    self.unknown += 1
                continue
            with self._gate:
                self.acknowledged.append(outcome)
            return

    def run(self, during: Callable[[], None]) -> None:
        with ThreadPoolExecutor(CALLERS) as threads:
            calls = [threads.submit(self.spend, number) for number in range(CALLERS)]
            try:
                self.more()
                during()
                self.more()
            finally:
                self.stop.set()
            for call in calls:
                call.result(RETRY_SECONDS_MAX)

    def more(self) -> None:
        """Wait for another 150 acknowledgements."""
        wanted = len(self.acknowledged) + 150
        wait_until(lambda: len(self.acknowledged) >= wanted, "acknowledgements")

    def check(self, log: list[Entry]) -> None:
        """Acknowledged is recorded, once; and nothing else is."""
        told = Counter(entry.fact_id for outcome in self.acknowledged for entry in outcome.entries)
        assert set(told.values()) == {1}
        stored = Counter(entry.fact_id for entry in log if entry.actor != "setting")
        assert set(stored.values()) == {1}
        assert told == stored
        by_id = {entry.fact_id: entry for entry in log}
        for outcome in self.acknowledged:
            assert outcome.entries == tuple(by_id[entry.fact_id] for entry in outcome.entries)
        endings = sum(type(entry.fact).__name__ == "TokensConsumed" for entry in log)
        grants = sum(type(entry.fact).__name__ == "TokensGranted" for entry in log) - 1
        for ledger in self.ledgers:
            account = ledger.account("ann")
            assert account.settled == 1_000_000 + grants - 2 * endings
            assert account.held == 0


def prepared(ledger: Ledger) -> None:
    ledger.record(Submission(command=opening(tokens=1_000_000), actor="setting"))


def test_backends_that_are_terminated_again_and_again(database: Database) -> None:
    def terminate() -> None:
        with psycopg.connect(database.superuser_url, autocommit=True) as connection:
            for _ in range(6):
                load.more()
                connection.execute(TERMINATE)

    with running(database.url) as one, running(database.url) as other:
        prepared(one)
        load = Load([one, other])
        load.run(terminate)
        load.check(whole_log(database.url))


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


def test_a_server_that_is_killed_and_started_again(home: Path) -> None:
    servers = [EmbeddedPostgres.start(home, settings=TEST_SETTINGS)]
    try:
        migrate(servers[0].migration_database_url)
        url = servers[0].database_url

        def kill_and_start() -> None:
            os.kill(servers[-1].server_pid, signal.SIGKILL)
            wait_until(lambda: not servers[-1].running, "the server's end")
            servers[-1].stop()
            unknown = load.unknown
            wait_until(lambda: load.unknown > unknown, "a caller that is told so")
            servers.append(EmbeddedPostgres.start(home, settings=TEST_SETTINGS))
            assert servers[-1].database_url == url  # on the same port again

        with running(url) as one, running(url) as other:
            prepared(one)
            load = Load([one, other])
            load.run(kill_and_start)
            load.check(whole_log(url))
        assert load.unknown >= 1
    finally:
        servers[-1].stop()
