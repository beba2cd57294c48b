"""`mintage bench http` measures what it says; nothing here is about how fast."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mintage

ACCEPT, BALANCE = "POST /v1/generations", "GET /v1/balance"
WAYS = ("mintage", "CRUD", "bare")
HOLD_A_SITE = """
import json, sys
from pathlib import Path
from api.bench.http.site import site
with site("bare", "", Path(sys.argv[1]), workers=2) as serving:
    serving.await_ready()
    print(json.dumps(serving.pids), flush=True)
    sys.stdin.read()
"""


def test_it_measures_each_way_in_both_loops(tmp_path: Path) -> None:
    small = ("--rounds", "1", "--seconds", "0.3", "--clients", "4", "--accounts", "10")
    what = ("--processes", "1", "--loads", "50", "--requests", f"{ACCEPT},{BALANCE}")
    report = mintage.run_json("bench", "http", *small, *what, home=tmp_path)
    rows = {(row["request"], row["load"], row["contender"]): row for row in report["results"]}
    assert report["settings"]["fsync"] == "on"
    assert all(row["rate"] > 0 for row in rows.values())
    assert all(row["p50_ms"] <= row["p99_ms"] for row in rows.values())
    for name in (*WAYS, "echo"):
        row = rows[ACCEPT, "closed", name]
        assert row["mintage_is_times"] > 0
        assert row["load_cpu_us"] > 0
    for name in WAYS:
        assert rows[ACCEPT, "open 50 %", name]["mintage_is_times"] is None
        assert rows[BALANCE, "closed", name]["rate"] > 0


@pytest.mark.long  # `make test-long` gets py-spy first
def test_a_profile_says_where_the_time_of_an_acceptance_goes(tmp_path: Path) -> None:
    small = ("--rounds", "1", "--seconds", "0.3", "--clients", "4", "--accounts", "10")
    what = ("--processes", "1", "--loads", "50", "--requests", ACCEPT)
    told = tmp_path / "told"
    report = mintage.run_json("bench", "http", *small, *what, "--profile", str(told), home=tmp_path)
    parts = {row["part"]: row for row in report["parts"]}
    assert parts["deciding"]["percent"] > 0
    assert parts["PostgreSQL, all its processes"]["us"] > 0
    assert 99 < sum(row["percent"] for row in parts.values()) < 101
    assert "(ledger/pipeline.py:" in (told / "http-accept-stacks.txt").read_text()
    assert "(ledger.pipeline.py:" in (told / "http-accept-flame.svg").read_text()


def test_its_servers_end_with_it_however_it_ends(tmp_path: Path) -> None:
    holding = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_SITE, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holding.stdout is not None
    pids = json.loads(holding.stdout.readline())
    assert len(pids) > 2
    holding.kill()
    holding.communicate()
    mintage.until(lambda: not any(map(mintage.alive, pids)), what="the end of the servers")
