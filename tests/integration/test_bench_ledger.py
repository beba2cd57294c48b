"""`mintage bench ledger` measures what it says; nothing here is about how fast."""

from pathlib import Path
from typing import Any

import pytest

import mintage
from api.bench.contenders import WAYS

PEERS = [name for name, way in WAYS.items() if way.needs]
FIELDS = {
    "callers",
    "contender",
    "distribution",
    "processes",
    "rate",
    "rate_min",
    "rate_max",
    "p50_ms",
    "p99_ms",
    "p99_times_mean",
    "failed",
    "mintage_is_times",
    "of_one_process",
}
QUICK = ("--rounds", "1", "--seconds", "0.1", "--callers", "4")


def measured(home: Path, *options: str) -> Any:
    return mintage.run_json("bench", "ledger", *QUICK, *options, home=home)


def test_it_tells_of_each_way_and_distribution(tmp_path: Path) -> None:
    report = measured(
        tmp_path, "--no-peers", "--distribution", "uniform,zipf,hot", "--flush-ms", "2"
    )
    assert report["settings"]["fsync"] == "on"
    assert report["settings"]["commit_delay"] == "2000"
    assert report["settings"]["commit_siblings"] == "0"
    assert 2 < report["settings"]["one_commit_ms"] < 1_000
    found = {(row["contender"], row["distribution"]) for row in report["results"]}
    assert found == {
        (name, distribution)
        for name, way in WAYS.items()
        if name not in PEERS
        for distribution in (("uniform", "zipf", "hot") if way.spread else (None,))
    }
    for row in report["results"]:
        assert row.keys() >= FIELDS
        assert 0 < row["rate_min"] <= row["rate"] <= row["rate_max"]
        assert row["failed"] == 0 or row["contender"] == "mintage refusing"
        assert (row["p99_ms"] is None) == (
            "pgbench" in row["contender"] or "COPY" in row["contender"]
        )


def test_several_processes_share_the_callers_and_no_error_reaches_one(tmp_path: Path) -> None:
    report = measured(tmp_path, "--only", "mintage", "--processes", "1,2")
    rows = [row for row in report["results"] if row["processes"]]
    assert {(row["contender"], row["distribution"]) for row in rows} == {
        ("1 process", "uniform"),
        ("1 process", "hot"),
        ("2 processes, one writes for all", "uniform"),
        ("2 processes, one writes for all", "hot"),
        ("2 processes, each for itself", "uniform"),
        ("2 processes, each for itself", "hot"),
        ("2 processes, each its own accounts", "uniform"),
    }
    assert all(row["failed"] == 0 < row["of_one_process"] for row in rows)


@pytest.mark.long  # `make test-long` gets them first
def test_others_take_part(tmp_path: Path) -> None:
    only = [word for name in PEERS for word in ("--only", name)]
    report = measured(tmp_path, *only, "--distribution", "uniform")
    rows = {row["contender"]: row for row in report["results"]}
    assert {*rows} == {"mintage", *PEERS}
    for name in PEERS:
        assert rows[name]["mintage_is_times"] > 0
        assert 0 < rows[name]["p50_ms"] <= rows[name]["p99_ms"]


@pytest.mark.long  # `make test-long` gets py-spy first
def test_a_profile_says_what_client_and_server_do(tmp_path: Path) -> None:
    measured(tmp_path, "--only", "mintage", "--no-peers", "--profile", str(tmp_path / "told"))
    flame = (tmp_path / "told" / "ledger-flame.svg").read_text()
    assert "<title>Pipeline.step (ledger.pipeline.py:" in flame
    assert ">ledger-flame</text>" in flame
    assert str(tmp_path) not in flame
    statements = (tmp_path / "told" / "ledger-statements.txt").read_text()
    assert "INSERT INTO ledger_events" in statements.splitlines()[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--callers", "0"), "each lies in 1..10000"),
        (("--callers", "1,many"), "not numbers between commas"),
        (("--processes", "99"), "each lies in 1..16"),
        (("--distribution", "normal"), "'normal' is none of uniform, zipf, hot"),
        (("--only", "nobody"), "'nobody' is not one of"),
    ],
)
def test_bad_options_are_told_before_anything_starts(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    done = mintage.run("bench", "ledger", *options, home=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
