"""What the console cannot take, or must not be sent, is told in a line."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import mintage
from databases import Database, temporary_home
from histories import History
from ledger_running import running

ESC = "\x1b[31mred\x1b]0;title\x07"
COMMANDS = [
    ("audit", "events"),
    ("audit", "events", "--json"),
    ("audit", "events", "--csv", "--limit", "1"),
    ("audit", "reads", "--json"),
    ("verify",),
    ("verify", "--json"),
    ("migrate", "--json"),
    ("--help",),
    ("audit", "--help"),
    ("--version",),
]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


@pytest.fixture
def logged(database: Database) -> Database:
    with running(database.url) as ledger:
        History(ledger, seed=11).write(40)
    return database


def environment(database: Database, home: Path) -> dict[str, str]:
    urls = {"DATABASE_URL": database.url, "MIGRATION_DATABASE_URL": database.owner_url}
    return mintage.environment(home, urls)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_disk(logged: Database, home: Path, command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*mintage.COMMAND, *command],
            env=environment(logged, home),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == "mintage: the output cannot be written: No space left on device"
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_who_has_gone(logged: Database, home: Path, command: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        [*mintage.COMMAND, *command],
        env=environment(logged, home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert errors.splitlines()[-1] == "mintage: the output cannot be written: Broken pipe"
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


def test_no_output_at_all_is_no_trouble(logged: Database, home: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *mintage.COMMAND, "audit", "events", "--json"],
        env=environment(logged, home),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with psycopg.connect(logged.url) as connection:
        row = connection.execute("SELECT count(*) FROM audit_reads").fetchone()
    assert row == (1,)


@pytest.mark.parametrize(
    "arguments",
    [
        (ESC,),
        (f"--{ESC}",),
        ("audit", ESC),
        ("audit", "events", "--type", ESC),
        ("audit", "events", "--from", ESC),
        ("audit", "account", ESC),
        ("verify", ESC),
        ("verify", "--seal", ESC),
        ("accounts", "create", ESC, "--email", ESC),
    ],
)
def test_nothing_that_was_given_steers_the_terminal(
    logged: Database, home: Path, arguments: tuple[str, ...]
) -> None:
    urls = {"DATABASE_URL": logged.url, "MIGRATION_DATABASE_URL": logged.owner_url}
    done = mintage.run(*arguments, home=home, **urls)
    assert done.returncode in {1, 2}, done.stderr
    assert not {"\x1b", "\x07"} & {*done.stdout, *done.stderr}
    assert done.stderr.strip()


def test_nor_does_a_seal(logged: Database, home: Path, tmp_path: Path) -> None:
    seal = tmp_path / "seal"
    seal.write_text('{"\\u001b[31mred":1}'.replace("\\u001b", "\x1b"))
    field = tmp_path / "field"
    field.write_text('{"\\u001b[31mred":1}')
    for file in (seal, field):
        done = mintage.run("verify", "--seal", str(file), home=home, DATABASE_URL=logged.url)
        assert done.returncode == 2
        assert "\x1b" not in done.stderr
