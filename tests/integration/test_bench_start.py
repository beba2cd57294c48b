"""`mintage bench start` measures what it says; nothing here is about how fast."""

from pathlib import Path

import mintage
from api.bench.importing import HEAVY, ROLES

EACH = {"what", "seconds", "cpu_seconds", "of_bare", "pss_mb", "heavy"}


def test_it_tells_of_each_start_and_each_role(tmp_path: Path) -> None:
    report = mintage.run_json("bench", "start", "--rounds", "1", home=tmp_path)
    rows = {row["what"]: row for row in report["results"]}
    assert report["settings"]["rounds"] == 1
    assert report["settings"]["fsync"] == "on"
    assert all(row.keys() >= EACH for row in rows.values())
    for name in ("mintage up, cold", "mintage up, warm", "mintage --version"):
        assert 0 < rows[name]["cpu_seconds"] < 60
        assert 0 < rows[name]["seconds_min"] <= rows[name]["seconds_max"] < 60
    for role in ("up", "api", "worker", "projector"):
        assert 5 < rows[f"  {role}, when ready"]["pss_mb"] < 500
    for role in ROLES:
        assert {*rows[f"import: {role}"]["heavy"].split()} <= {*HEAVY}
    assert "google.genai" in rows["import: worker, Gemini"]["heavy"]
