"""A plot for each curve that a benchmark measures, as SVG: the same figures, the same bytes."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import click

_STYLE: dict[str, Any] = {
    "svg.hashsalt": "mintage",
    "svg.fonttype": "none",  # text stays text: smaller, and found by a search
    "font.family": "sans-serif",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.alpha": 0.3,
}
_MARKERS = "os^Dv<>pP*hXd"  # more than there are colours, so that no two curves look the same
# No date and no version: what is drawn again from the same figures is the same file.
_METADATA = {"Date": None, "Creator": None}


class Curve(NamedTuple):
    """Under a label, what the rounds measured at each place of the horizontal axis."""

    label: str
    points: Mapping[float, Sequence[float]]


def _checked(_: click.Context, __: click.Parameter, folder: Path | None) -> Path | None:
    """Say what is missing before anything is measured, not after it."""
    if folder is not None and find_spec("matplotlib") is None:
        raise click.ClickException("plots need matplotlib: run `make bench-peers` first")
    return folder


plot_option = click.option(
    "--plot",
    "plots",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    callback=_checked,
    help="Write the curves there as SVG.",
)


def draw(
    path: Path,
    curves: Iterable[Curve],
    *,
    title: str,
    x: str,
    y: str,
    log_x: bool = False,
    log_y: bool = False,
) -> None:
    """The medians as lines, from the least to the most as bands, written to `path`.

    The vertical axis begins at nought unless it is logarithmic.
    """
    import matplotlib as mpl  # noqa: PLC0415 - installed when asked for
    from matplotlib.figure import Figure  # noqa: PLC0415

    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        places: set[float] = set()
        for curve, marker in zip(curves, cycle(_MARKERS), strict=False):
            at = sorted(curve.points)
            places.update(at)
            measured = [curve.points[place] for place in at]
            medians = [statistics.median(each) for each in measured]
            (line,) = axes.plot(at, medians, marker=marker, label=curve.label)
            low, high = [min(each) for each in measured], [max(each) for each in measured]
            axes.fill_between(at, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        if log_x:
            axes.set_xscale("log")
            ticks = sorted(places)
            axes.set_xticks(ticks, [f"{tick:,.15g}" for tick in ticks])
            axes.minorticks_off()
        if log_y:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter("{x:,.15g}")
        axes.set(title=title, xlabel=x, ylabel=y)
        figure.legend(loc="outside right upper", frameon=False)
        figure.savefig(path, format="svg", metadata=_METADATA)
