"""`mintage bench flow` measures what it says; nothing here is about how fast."""

from pathlib import Path

import mintage

ONE_ROUND = ("--rounds", "1", "--in-flight", "4", "--seconds", "1")
OPTIONS = (*ONE_ROUND, "--sizes", "20 kB", "--waits", "0 s")


def test_it_tells_of_the_flow_and_of_the_calls_alone(tmp_path: Path) -> None:
    report = mintage.run_json("bench", "flow", *OPTIONS, home=tmp_path)
    rows = {row["what"]: row for row in report["results"]}
    assert [*rows] == ["0 s, 20 kB", "calls alone, 20 kB"]
    assert report["settings"]["at_a_time"] == 4
    at_once = rows["0 s, 20 kB"]
    assert at_once["finished_per_second"] > 0
    assert at_once["failed"] == 0
    assert 10 < at_once["idle_mb"] <= at_once["peak_mb"] < 500
    assert {*at_once["cpu_ms_split"]} == {
        *("worker", "projector", "PostgreSQL", "requests", "provider")
    }
    assert 0 <= at_once["calls"] <= at_once["held"] <= 4
    curve = report["curves"]["0 s, 20 kB"]
    assert [look["seconds"] for look in curve] == sorted(look["seconds"] for look in curve)
