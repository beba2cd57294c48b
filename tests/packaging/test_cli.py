import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import mintage
from api.cli import COMMANDS
from api.commands.audit.group import COMMANDS as AUDIT_COMMANDS
from databases import Database, temporary_home

NOWHERE = "postgresql://someone:not-to-be-shown@127.0.0.1:1/nothing"
SUBCOMMANDS = [(name,) for name in COMMANDS] + [
    ("accounts", name) for name in ("create", "grant", "key")
]
SUBCOMMANDS += [("audit", name) for name in AUDIT_COMMANDS]
TOUCHES_DATABASE = [
    ("migrate",),
    ("seed",),
    ("sweep",),
    ("projector",),
    ("worker",),
    ("api",),
    ("up",),
    ("reset", "--yes"),
    ("accounts", "key", "bob"),
    ("audit", "events"),
    ("audit", "reads"),
]


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


@pytest.mark.parametrize("command", SUBCOMMANDS, ids=" ".join)
def test_every_command_has_help_and_asking_for_it_does_nothing(
    command: tuple[str, ...], home: Path
) -> None:
    done = mintage.run(*command, "--help", home=home, COLUMNS="60")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: mintage {' '.join(command)}")
    assert max(map(len, done.stdout.splitlines())) <= 60
    assert list(home.iterdir()) == []


def test_the_list_of_commands_imports_none_of_them(home: Path) -> None:
    done = subprocess.run(
        [mintage.COMMAND[0], "-X", "importtime", *mintage.COMMAND[1:], "--help"],
        env=mintage.environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    for heavy in ("litestar", "psycopg", "rich", "PIL", "google.genai", "uvicorn", "structlog"):
        assert f" {heavy}\n" not in done.stderr


def test_a_worker_with_the_mock_does_not_import_googles_library(home: Path) -> None:
    code = "import api.commands.worker, api.commands.up, api.launch.preparing, sys;"
    done = subprocess.run(
        [mintage.COMMAND[0], "-c", f"{code} print('google.genai' in sys.modules)"],
        env=mintage.environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("command", TOUCHES_DATABASE, ids=" ".join)
def test_a_database_out_of_reach_is_told_in_a_sentence(
    command: tuple[str, ...], home: Path
) -> None:
    done = mintage.run(*command, home=home, DATABASE_URL=NOWHERE)
    assert done.returncode == 1, done.stderr
    assert "database is out of reach" in done.stderr
    assert "Traceback" not in done.stderr
    assert "not-to-be-shown" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"PORT": "http"}, "PORT"),
        ({"WORKERS": "0"}, "WORKERS"),
        ({"DATABASE_URL": "no address"}, "DATABASE_URL"),
        ({"MIGRATION_DATABASE_URL": "postgresql://a@b/c"}, "MIGRATION_DATABASE_URL"),
        ({"MINTAGE_ENV": "production"}, "GEMINI_API_KEY"),
        ({"S3_ENDPOINT": "http://localhost:1"}, "S3_ACCESS_KEY"),
    ],
)
@pytest.mark.parametrize("command", ["up", "worker"])
def test_a_wrong_setting_is_bad_usage_and_named(
    command: str, settings: dict[str, str], name: str, home: Path
) -> None:
    done = mintage.run(command, home=home, **settings)
    assert done.returncode == 2, done.stderr
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "postgres").exists()


def test_a_role_says_that_the_tables_are_missing(home: Path) -> None:
    done = mintage.run("worker", home=home)
    assert done.returncode == 1
    assert "mintage up" in done.stderr
    assert not (home / "postgres").exists()


def test_migrate_begins_an_embedded_database_that_other_commands_then_use(home: Path) -> None:
    assert mintage.run_json("migrate", home=home)["applied"][0] == "0001_ledger"
    assert mintage.run_json("migrate", home=home)["applied"] == []
    assert mintage.run_json("seed", home=home) == {"account_id": "demo-user-123"}
    assert mintage.run_json("sweep", home=home) == {"expired": 0, "deleted": 0}
    assert mintage.run_json("accounts", "grant", "demo-user-123", "1", home=home)["settled"] == 101


def test_a_database_that_is_not_ours_is_not_reset(home: Path, database: Database) -> None:
    urls = {"DATABASE_URL": database.url, "MIGRATION_DATABASE_URL": database.owner_url}
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE others (name text)")
        connection.execute("ALTER TABLE alembic_version RENAME TO something_else")
        refused = mintage.run("reset", "--yes", home=home, **urls)
        assert refused.returncode == 1
        assert "not one of ours" in refused.stderr
        connection.execute("ALTER TABLE something_else RENAME TO alembic_version")
        refused = mintage.run("reset", "--yes", home=home, **urls)
        assert refused.returncode == 1
        assert "stop Mintage first" in refused.stderr


@pytest.mark.parametrize("arguments", [("nonsense",), ("up", "--nonsense"), ("reset",)])
def test_bad_usage_exits_with_2(arguments: tuple[str, ...], home: Path) -> None:
    done = mintage.run(*arguments, home=home)
    assert done.returncode == 2
    assert done.stdout == ""
    assert not (home / "postgres").exists()
