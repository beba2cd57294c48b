"""`mintage bench streams` measures what it says; nothing here is about how much."""

from pathlib import Path

import mintage


def test_it_tells_of_memory_and_of_the_time_to_the_client(tmp_path: Path) -> None:
    small = ("--rounds", "1", "--streams", "30", "--seconds", "0.3")
    report = mintage.run_json("bench", "streams", *small, home=tmp_path)
    assert report["settings"]["fsync"] == "on"
    rows = report["results"]
    assert [row["contender"] for row in rows] == ["mintage", "mintage", "bare"]
    assert {row["streams"] for row in rows} == {30}
    for row in rows:
        assert 10 < row["mb_without"] < 500
        assert row["mb_more"] < 100
        assert 0 <= row["p50_ms"] <= row["p99_ms"] < 60_000
