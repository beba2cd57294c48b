"""Ctrl-C ends a verification at once, on the server too, without a word of code."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import mintage
from databases import Database
from histories import History
from ledger_running import running
from projections.advance import advance

SECONDS_MAX = 30.0
# What reads all of the log takes a minute a row.
SLOW = """
ALTER TABLE ledger_events RENAME TO hidden;
CREATE VIEW ledger_events AS
    SELECT * FROM hidden
    WHERE CASE WHEN current_query() ~ 'COPY|WINDOW' THEN pg_sleep(60) IS NOT NULL ELSE true END;
GRANT SELECT ON ledger_events TO mintage_app;"""
_RUNNING = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'mintage verify' AND state = 'active' AND datname = current_database()"""


@pytest.fixture
def logged(database: Database) -> Database:
    with running(database.url) as ledger:
        History(ledger, seed=7).write(40)
    with psycopg.connect(database.url, autocommit=True) as connection:
        advance(connection)
    return database


@contextlib.contextmanager
def verifying(database: Database, home: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [*mintage.COMMAND, "verify", *arguments],
        env=mintage.environment(home, {"DATABASE_URL": database.url}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_while_the_whole_log_is_sorted(logged: Database, tmp_path: Path) -> None:
    with psycopg.connect(logged.superuser_url, autocommit=True) as anyone:
        anyone.execute(SLOW.encode())

        def statements() -> int:
            row = anyone.execute(_RUNNING).fetchone()
            assert row is not None
            return int(row[0])

        with verifying(logged, tmp_path) as process:
            # One of the accounts' order, one of the log's.
            mintage.until(lambda: statements() >= 2, what="two statements")
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=SECONDS_MAX)
            assert time.monotonic() - started < SECONDS_MAX
            assert process.returncode == 130
            assert "Traceback" not in errors
            mintage.until(lambda: statements() == 0, what="the end of every statement")


@pytest.mark.parametrize("after_seconds", [0.0, 0.1, 0.4, 1.0])
def test_while_processes_begin(logged: Database, tmp_path: Path, after_seconds: float) -> None:
    with psycopg.connect(logged.superuser_url, autocommit=True) as anyone:
        anyone.execute(SLOW.encode())  # or it might be done before it is interrupted
    with verifying(logged, tmp_path, "--processes", "3") as process:
        # The first to be started is the one that keeps account of what the others share.
        mintage.until(lambda: len(mintage.descendants(process.pid)) >= 2, what="a process")
        time.sleep(after_seconds)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=SECONDS_MAX)
        assert (process.returncode, errors.strip()) == (130, "")
