"""`mintage rebuild` as an operator meets it: words, exit codes, Ctrl-C, a lost database."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import plain_views
from api.bench.history import ensure_history
from databases import Database
from histories import read_log
from mintage import ROOT, environment, run
from projections.views import VIEW_NAMES

EVENTS = 60_000
STEP = 500
SMALL = ROOT / "tests" / "support" / "small_rebuild.py"


def settings(database: Database) -> dict[str, str]:
    return {"DATABASE_URL": database.url, "MIGRATION_DATABASE_URL": database.owner_url}


def begin(database: Database, home: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(SMALL), str(STEP), *arguments],
        env=environment(home, settings(database)),
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def reading(database: Database) -> Iterator[None]:
    """Keep a rebuild from its end, however long it takes to interrupt it."""
    with psycopg.connect(database.url) as connection:
        connection.execute("SELECT count(*) FROM images")
        yield


def until_filling(database: Database) -> None:
    deadline = time.monotonic() + 60
    with psycopg.connect(database.url, autocommit=True) as connection:
        while True:
            row = connection.execute(
                "SELECT sum(upper(f) - lower(f)) FROM view_rebuilds, unnest(filled) AS f"
            ).fetchone()
            if row and row[0]:
                return
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_it_says_what_it_did(database: Database, tmp_path: Path) -> None:
    ensure_history(database.owner_url, 1_000)
    done = run("rebuild", "--json", home=tmp_path, **settings(database))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["views"] == list(VIEW_NAMES)
    assert (said["position"], said["events"], said["resumed_at"]) == (1_000, 4_000, 0)
    assert plain_views.read_tables(database.url) == plain_views.fold(read_log(database.url))
    done = run("rebuild", "images", "balances", home=tmp_path, **settings(database))
    assert done.stdout.startswith("balances, images: rebuilt up to position 1,000 in ")


def test_an_unknown_view_is_bad_usage_and_the_known_ones_are_named(tmp_path: Path) -> None:
    done = run("rebuild", "balances", "blances", home=tmp_path)
    assert done.returncode == 2
    assert f"no view is called blances; there are {', '.join(VIEW_NAMES)}" in done.stderr


def test_a_role_that_owns_nothing_is_told_which_setting(database: Database, tmp_path: Path) -> None:
    done = run("rebuild", home=tmp_path, DATABASE_URL=database.url)
    assert done.returncode == 1
    assert "MIGRATION_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_control_c_says_that_it_can_be_resumed(database: Database, tmp_path: Path) -> None:
    ensure_history(database.owner_url, EVENTS)
    with reading(database):
        process = begin(database, tmp_path)
        until_filling(database)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "run `mintage rebuild` again to go on from there" in err
    assert out == ""
    again = run("rebuild", "--json", home=tmp_path, **settings(database))
    assert json.loads(again.stdout)["resumed_at"] > 0


def test_a_lost_database_says_that_it_can_be_resumed(database: Database, tmp_path: Path) -> None:
    ensure_history(database.owner_url, EVENTS)
    with (
        reading(database),
        psycopg.connect(database.superuser_url, autocommit=True) as superuser,
    ):
        process = begin(database, tmp_path)
        until_filling(database)
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'mintage rebuild' AND datname = %s",
            [database.name],
        )
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the database did not go along: " in err
    assert "run `mintage rebuild` again to go on from there" in err
    assert "Traceback" not in err
    assert run("rebuild", home=tmp_path, **settings(database)).returncode == 0
    assert plain_views.read_tables(database.url) == plain_views.fold(read_log(database.url))


def read_all(terminal: int, parts: list[bytes]) -> None:
    """What a terminal is shown, until nobody writes to it any more: it holds 4 KB at most."""
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 1 << 16):
            parts.append(part)


def test_a_terminal_is_shown_a_bar(database: Database, tmp_path: Path) -> None:
    ensure_history(database.owner_url, EVENTS)
    master, slave = os.openpty()
    parts: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(master, parts))
    reader.start()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", "rebuild"],
            env=environment(tmp_path, settings(database) | {"TERM": "xterm", "COLUMNS": "120"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=slave,
            timeout=120,
            check=True,
        )
    finally:
        os.close(slave)
        reader.join(60)
        os.close(master)
    shown = b"".join(parts).decode()
    assert f"/{4 * EVENTS}" in shown
    assert b"rebuilt up to position 60,000" in done.stdout


@pytest.mark.parametrize("arguments", [("--help",), ("-h",)])
def test_help_says_that_it_can_be_resumed(arguments: tuple[str], tmp_path: Path) -> None:
    assert "goes on" in run("rebuild", *arguments, home=tmp_path).stdout
