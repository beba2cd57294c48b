"""A server that takes what it is sent and says nothing: the committer does not wait for ever."""

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from databases import Database
from ledger import metrics
from ledger.identity import new_id
from ledger_running import running, whole_log
from ledger_samples import grant, keyed, opening, plain, request

SECONDS_MAX = 8.0  # the server itself gives up after ten


def lost() -> float:
    return float(metrics.LOST_CONNECTIONS._value.get())


def test_its_answer_counts_as_lost_and_the_truth_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        running(database.url) as behind,
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(database.owner_url) as owner,
    ):
        behind.record(plain(opening(tokens=20)))
        for _ in range(2):  # from here on it writes alone, and so without reading
            behind.record(plain(grant(1)))
        session = behind.committer._pipeline._recording.session
        assert session is not None
        monkeypatch.setattr(session.answers, "_seconds_max", 0.5)
        before = lost()
        owner.execute("LOCK TABLE ledger_events IN ACCESS EXCLUSIVE MODE")
        asked = thread.submit(behind.record, keyed(request(5, new_id()), "k"))
        deadline = time.monotonic() + SECONDS_MAX
        while lost() == before:
            assert time.monotonic() < deadline, "it still waits"
            time.sleep(0.01)
        owner.rollback()
        outcome = asked.result(60)
        assert (outcome.settled, outcome.held) == (22, 5)
        assert not outcome.replayed
    assert list(outcome.entries) == whole_log(database.url)[4:]
