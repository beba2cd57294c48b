from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from api.bench import plots

CURVES = [
    plots.Curve("ours", {1: [900.0, 1_000.0, 1_100.0], 64: [20_000.0, 22_000.0, 21_000.0]}),
    plots.Curve("theirs", {1: [500.0], 64: [1_500.0]}),
]


@pytest.mark.long  # `make test-long` gets matplotlib first
@pytest.mark.parametrize("log", [False, True])
def test_the_same_figures_are_the_same_file(tmp_path: Path, *, log: bool) -> None:
    drawn = []
    for number in range(2):
        path = tmp_path / str(number) / "rates.svg"
        plots.draw(path, CURVES, title="Rates", x="callers", y="steps/s", log_x=log, log_y=log)
        drawn.append(path.read_text())
    assert drawn[0] == drawn[1]
    assert all(said in drawn[0] for said in (">ours<", ">theirs<", ">Rates<", ">callers<"))
    assert "<dc:date>" not in drawn[0]


def test_without_matplotlib_it_is_said_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda _: None)

    @click.command()
    @plots.plot_option
    def command(plots: Path | None) -> None:
        raise AssertionError(plots)

    asked = CliRunner().invoke(command, ["--plot", str(tmp_path)])
    assert asked.exit_code == 1
    assert asked.output == "Error: plots need matplotlib: run `make bench-peers` first\n"
