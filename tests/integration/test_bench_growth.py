"""`mintage bench growth` measures what it says; nothing here is about how fast."""

from itertools import product
from pathlib import Path

import mintage

SPENDS = ("10 of its accounts", "all accounts, never met", "all accounts, met before")
OPTIONS = ("--rounds", "1", "--seconds", "0.1", "--callers", "4")


def test_it_tells_of_each_length_of_log_and_account(tmp_path: Path) -> None:
    sizes = ("--sizes", "1000,2000", "--lengths", "10,600")
    plans = ("--plans", str(tmp_path / "plans"))
    report = mintage.run_json("bench", "growth", *OPTIONS, *sizes, *plans, home=tmp_path)
    assert report["settings"]["fsync"] == "on"
    rows = {(row["grows"], row["events"], row["spends"]): row for row in report["results"]}
    assert {*rows} == {
        *product(["log"], [1_000, 2_000], SPENDS),
        *product(["account"], [10, 600], ["all callers", "who has never seen it"]),
    }
    for (_, events, _), row in rows.items():
        assert row["failed"] == 0 < row["p99_ms"]
        assert 0 < row["rate_min"] <= row["rate"] <= row["rate_max"]
        assert row["of_first"] == 1 or events in (600, 2_000)
    told = (tmp_path / "plans" / "growth-plans.txt").read_text().split("\n\n")
    assert [plan.splitlines()[0] for plan in told] == [
        f"{what}, a log of {events} events"
        for events in ("1,000", "2,000")
        for what in ("ids looked up", "accounts brought level", "rows appended")
    ]
    assert all("Buffers: shared hit=" in plan for plan in told)


def test_a_log_that_is_too_short_is_told_before_anything_starts(tmp_path: Path) -> None:
    done = mintage.run("bench", "growth", "--sizes", "10", home=tmp_path)
    assert done.returncode == 2
    assert "each lies in 1000..100000000" in done.stderr
