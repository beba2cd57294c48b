"""The log at the console: tables for people, lines for machines, each look recorded."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import mintage
from databases import Database, TestServer, temporary_home
from histories import History, read_log, record
from ledger.commands import GrantTokens, OpenAccount
from ledger_running import running

RAW = "\x1b[31mred\x07[bold]"


@pytest.fixture(scope="module")
def logged(database_server: TestServer) -> Iterator[Database]:
    with database_server.database() as database:
        with running(database.url) as ledger:
            History(ledger, seed=3).write(60)
            record(ledger, OpenAccount(account_id="bob", is_member=True, tokens=0))
            granted = GrantTokens(account_id="bob", amount=5, reason="promo", reference=RAW)
            record(ledger, granted)
        yield database


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


def run(database: Database, home: Path, *arguments: str, columns: str = "80") -> Any:
    urls = {"DATABASE_URL": database.url, "MIGRATION_DATABASE_URL": database.owner_url}
    return mintage.run("audit", *arguments, home=home, COLUMNS=columns, **urls)


def test_a_table_is_readable_at_60_columns_and_runs_nothing(logged: Database, home: Path) -> None:
    done = run(logged, home, "events", "--account", "bob", columns="60")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 60
    for words in ("TokensGranted", "AccountOpened", "bob #2", "bob #1", "by cli", "amount 5"):
        assert words in done.stdout
    assert done.stdout.index("TokensGranted") < done.stdout.index("AccountOpened")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "[bold]" in done.stdout


def test_lines_for_machines_are_the_whole_log(logged: Database, home: Path) -> None:
    entries = read_log(logged.url)
    done = run(logged, home, "events", "--json", "--order", "asc")
    assert done.returncode == 0, done.stderr
    *events, end = map(json.loads, done.stdout.splitlines())
    assert [event["position"] for event in events] == [entry.position for entry in entries]
    assert end == {"end": True, "count": len(entries)}
    assert f"{len(entries)} events, up to position {len(entries)}" in done.stderr

    done = run(logged, home, "events", "--csv", "--type", "TokensGranted")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    granted = [e.position for e in entries if type(e.fact).__name__ == "TokensGranted"]
    assert [int(row["position"]) for row in rows] == granted[::-1]


def test_filters_are_the_apis(logged: Database, home: Path) -> None:
    entries = read_log(logged.url)
    asked = next(entry for entry in entries if type(entry.fact).__name__ == "GenerationRequested")
    # Entries of one command share their time.
    start = entries[4].at
    end = next(entry.at for entry in entries if entry.at > start)
    during = [entry.position for entry in reversed(entries) if entry.at == start]
    for arguments, expected in {
        ("--generation", str(asked.fact_id), "--limit", "1", "--order", "asc"): [asked.position],
        ("--after", "3", "--before", "6"): [5, 4],
        ("--from", start.isoformat(), "--to", end.isoformat()): during,
        ("--actor", "nobody"): [],
    }.items():
        done = run(logged, home, "events", "--json", *arguments)
        *events, _ = map(json.loads, done.stdout.splitlines())
        assert [event["position"] for event in events] == expected, arguments


def test_each_look_is_recorded_and_listed(logged: Database, home: Path) -> None:
    run(logged, home, "events", "--account", "bob", "--json", "--limit", "1")
    run(logged, home, "events", "--account", "bob")
    done = run(logged, home, "reads", "--account", "bob", "--reader", "cli", "--json")
    assert done.returncode == 0, done.stderr
    mine, table, export, *_ = map(json.loads, done.stdout.splitlines())
    assert {read["reader"] for read in (mine, table, export)} == {"cli"}
    assert [read["what"] for read in (mine, table, export)] == ["reads", "events", "events_export"]
    assert export["query"] == {"order": "desc", "limit": 1, "format": "ndjson"}
    assert run(logged, home, "events").returncode == 0
    done = run(logged, home, "reads", "--account", "bob", "--json", "--limit", "2")
    table = json.loads(done.stdout.splitlines()[1])
    assert (table["what"], table["account_id"]) == ("events", None)
    assert table["shown"] > 1
    shown = run(logged, home, "reads", "--account", "bob", columns="60")
    assert f"{table['shown']} accounts" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 60
    assert "events_export" in shown.stdout


def test_what_cannot_be_recorded_is_not_shown(logged: Database, home: Path) -> None:
    columns = "(reader, role, what, account_id, query)"
    with psycopg.connect(logged.owner_url, autocommit=True) as owner:
        owner.execute(f"REVOKE INSERT {columns} ON audit_reads FROM mintage_app".encode())
        try:
            for arguments in (("events",), ("events", "--json"), ("reads",)):
                done = run(logged, home, *arguments)
                assert (done.returncode, done.stdout) == (1, "")
                assert "refuses" in done.stderr
        finally:
            owner.execute(f"GRANT INSERT {columns} ON audit_reads TO mintage_app".encode())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("events", "--type", "tokens"), "--type"),
        (("events", "--from", "2026-01-01"), "--from"),
        (("events", "--to", "later"), "--to"),
        (
            ("events", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"),
            "--from",
        ),
        (("events", "--after", "-1"), "--after"),
        (("events", "--after", "3", "--before", "2"), "--after"),
        (("events", "--limit", "0"), "--limit"),
        (("events", "--limit", "1001"), "--limit"),
        (("events", "--account", "a b"), "--account"),
        (("events", "--generation", "x"), "--generation"),
        (("events", "--actor", "x" * 201), "--actor"),
        (("events", "--json", "--csv"), "--csv"),
        (("reads", "--limit", "1001"), "--limit"),
        (("reads", "--account", ""), "--account"),
    ],
)
def test_bad_usage_names_the_option(
    logged: Database, home: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = run(logged, home, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
