"""How far the views say that they are, and whether that can be."""

from collections.abc import Iterator, Sequence

from projections.verify.finding import Finding
from projections.verify.snapshot import Baseline
from projections.views import VIEW_NAMES


def check_positions(baseline: Baseline, views: Sequence[str]) -> Iterator[Finding]:
    """What is wrong with the views' positions."""
    for view in views:
        position = baseline.positions.get(view)
        if position is None:
            yield Finding(
                kind="view_untracked",
                view=view,
                detail="no position is kept of it: it is compared as one that has read nothing",
            )
        elif position > baseline.head or position < 0:
            yield Finding(
                kind="position_beyond",
                view=view,
                position=position,
                detail=f"it says {position}, and the log ends at {baseline.head}",
            )
    for view in sorted(set(baseline.positions) - set(VIEW_NAMES)):
        yield Finding(
            kind="view_unknown",
            view=view,
            position=baseline.positions[view],
            detail="a position is kept of it, and no view is called so",
        )


def unfinished(baseline: Baseline, views: Sequence[str]) -> Iterator[str]:
    """Which views stand still before the log's end, so that not all of it could be compared."""
    for failure in baseline.failures:
        if failure.view in views:
            behind = baseline.head - baseline.position(failure.view)
            yield (
                f"view {failure.view} has stopped at position {failure.position}, {behind} behind "
                f"the log, and was compared up to there: {failure.problem}"
            )
