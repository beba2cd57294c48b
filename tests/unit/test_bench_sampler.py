import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from api.bench import sampler


def test_without_py_spy_it_is_said_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sampler.sys, "executable", str(tmp_path / "python"))  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "which", lambda _: None)

    @click.command()
    @sampler.profile_option
    def command(profile: Path | None) -> None:
        raise AssertionError(profile)

    asked = CliRunner().invoke(command, ["--profile", str(tmp_path)])
    assert asked.exit_code == 1
    assert asked.output == "Error: profiles need py-spy: run `make bench-peers` first\n"


DRAWN = (
    '<script>var a = 1 / 2</script><text id="title" x="1">/home/me/py-spy --pid 1</text>'
    '<svg id="frames" x="10"><g><title>run (/home/me/a/work.py:1) (2 samples)</title>'
    '<rect x="1"/><text x="1">../work.py:1)</text></g></svg>'
)


def test_a_graph_says_nothing_of_the_folders_it_was_drawn_in() -> None:
    drawn = sampler.without_folders(DRAWN, "ledger-flame")
    assert drawn == (
        '<script>var a = 1 / 2</script><text id="title" x="1">ledger-flame</text>'
        '<svg id="frames" x="10"><g><title>run (.home.me.a.work.py:1) (2 samples)</title>'
        '<rect x="1"/><text x="1">...work.py:1)</text></g></svg>'
    )
