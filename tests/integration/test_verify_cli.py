"""`mintage verify` by real processes: what it prints, and how it ends."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import histories
from databases import Database
from ledger.ledger import Ledger
from projections.advance import advance
from stack import SUPPORT
from verifying import tamper

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Run:
    with Ledger(database.url) as ledger:
        histories.History(ledger, 5).write(120)
    with psycopg.connect(database.url, autocommit=True) as connection:
        advance(connection)

    def mintage(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(SUPPORT.parents[1] / "src"),
            "DATABASE_URL": database.url,
            "MINTAGE_HOME": str(tmp_path),
            "COLUMNS": "60",
        }
        return subprocess.run(
            [sys.executable, "-m", "api.cli", *arguments],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return mintage


def test_all_is_well(run: Run) -> None:
    done = run("verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("looked at:")
    assert done.stdout.endswith("nothing wrong was found\n")
    done = run("verify", "--json", "--processes", "2")
    (line,) = done.stdout.splitlines()
    summary = json.loads(line)
    assert (done.returncode, summary["end"], summary["status"]) == (0, True, "ok")
    assert summary["events"] == summary["position"] > 0


def test_findings_as_lines_and_in_words(run: Run, database: Database) -> None:
    tamper(database, "UPDATE transactions SET amount = amount + 1 WHERE position = 2")
    done = run("verify", "--json")
    *findings, summary = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert [(f["kind"], f["view"], f["position"]) for f in findings] == [
        ("row_differs", "transactions", 2)
    ]
    assert (summary["status"], summary["findings"]) == ("findings", 1)
    done = run("verify", "transactions")
    assert done.returncode == 1
    assert done.stdout.startswith("row_differs: transactions, account account-")
    assert done.stdout.endswith("1 finding\n")


def test_many_findings_of_a_kind_are_counted(run: Run, database: Database) -> None:
    tamper(
        database,
        "INSERT INTO balances SELECT 'nobody-' || n, false, 1, 0, 1, 1 "
        "FROM generate_series(1, 1100) AS n",
    )
    done = run("verify")
    assert done.returncode == 1
    assert done.stdout.count("account_unknown: balances") == 1_000
    assert "account_unknown: 100 more, not shown" in done.stdout


def test_objects_that_are_not_there(run: Run) -> None:
    done = run("verify", "--objects", "--json")
    *findings, summary = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert {each["kind"] for each in findings} == {"object_missing"}
    assert summary["objects"] == summary["findings"] > 0


def test_bad_usage(run: Run, tmp_path: Path) -> None:
    done = run("verify", "pictures")
    assert done.returncode == 2
    assert "there are balances, transactions, generations, images" in done.stderr
    assert run("verify", "--seal", str(tmp_path / "none")).returncode == 2
    (tmp_path / "seal").write_text('{"mintage_seal": 1')
    done = run("verify", "--seal", str(tmp_path / "seal"))
    assert done.returncode == 2
    assert "no JSON document, or not a whole one" in done.stderr
    done = run("verify", "--seal-public-key", str(tmp_path / "seal"))
    assert "--seal-public-key goes with --seal" in done.stderr


def test_a_seal_tells_of_an_owner_who_recomputed_the_chain(
    run: Run, database: Database, tmp_path: Path
) -> None:
    key, seal, public = (str(tmp_path / name) for name in ("key.pem", "seal.json", "public.pem"))
    Path(public).write_text(run("audit", "seal-key", key).stdout)
    Path(seal).write_text(run("audit", "seal", "--key", key).stdout)
    done = run("verify", "--seal", seal, "--seal-public-key", public)
    assert done.returncode == 0, done.stdout
    assert "the seal of position" in done.stdout
    other = str(tmp_path / "other.pem")
    (tmp_path / "other-public.pem").write_text(run("audit", "seal-key", other).stdout)
    done = run("verify", "--seal", seal, "--seal-public-key", str(tmp_path / "other-public.pem"))
    assert done.returncode == 1
    assert "signed with another key" in done.stdout

    tamper(
        database,
        "UPDATE ledger_events SET actor = 'nobody' WHERE position = 3",
    )
    assert run("verify").returncode == 0  # no number has changed
    done = run("verify", "--chain")
    assert done.returncode == 1
    assert "chain_broken: account" in done.stdout
    assert "position 3" in done.stdout
    # The owner makes the chain anew over what the rows say now.
    tamper(database, "DELETE FROM ledger_chain")
    run("audit", "seal", "--key", key)
    assert run("verify", "--chain").returncode == 0
    done = run("verify", "--seal", seal, "--json")
    *findings, summary = map(json.loads, done.stdout.splitlines())
    assert [each["kind"] for each in findings] == ["seal_broken"]
    assert (done.returncode, summary["sealed"]) == (1, None)


def test_a_forged_name_steers_no_terminal(run: Run, database: Database) -> None:
    tamper(database, r"INSERT INTO balances VALUES (E'x\x1b[31m\nred', false, 1, 0, 1, 1)")
    done = run("verify", "balances")
    assert (done.returncode, "\x1b" in done.stdout) == (1, False)
    assert done.stdout.startswith("account_unknown: balances, account x\ufffd[31m\ufffdred")
