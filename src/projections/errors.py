"""What the views say no with.

ProjectionError
├── UnknownFactError     view, position, topic: the view does not know that kind of fact
├── ViewsBehindError     views: they could not be brought level in time
├── UnknownAccountError  no account has that id
├── BeforeAccountError   field, position, at: asked as of before the account's first fact
├── AfterLogError        field, position: asked as of the future, or beyond the log's end
└── RebuildError         a rebuild ended before the views were replaced; they are as they were
    ├── RebuildRefusedError      it did not begin
    ├── RebuildStoppedError      view, position, problem: a fact cannot be folded
    └── RebuildInterruptedError  it can be resumed
"""

from collections.abc import Sequence
from datetime import datetime


class ProjectionError(Exception):
    """Root of what the views raise."""


class UnknownFactError(ProjectionError):
    """A view met a fact that it does not know; it wrote nothing."""

    def __init__(self, view: str, position: int, topic: str) -> None:
        super().__init__(f"{view} does not know {topic} at position {position}")
        self.view = view
        self.position = position
        self.topic = topic


class ViewsBehindError(ProjectionError):
    """These views do not hold every acknowledged event of the account yet."""

    def __init__(self, views: Sequence[str]) -> None:
        super().__init__(f"behind the log: {', '.join(views)}")
        self.views = tuple(views)


class UnknownAccountError(ProjectionError):
    """The log has nothing of an account of that id."""


class BeforeAccountError(ProjectionError):
    """The account began later, with the fact at that position and time."""

    def __init__(self, field: str, position: int, at: datetime) -> None:
        super().__init__(f"{field} lies before position {position}, {at.isoformat()}")
        self.field = field
        self.position = position
        self.at = at


class AfterLogError(ProjectionError):
    """Nobody knows yet: the log ends at `position`."""

    def __init__(self, field: str, position: int) -> None:
        super().__init__(f"{field} lies after position {position}")
        self.field = field
        self.position = position


class RebuildError(ProjectionError):
    """A rebuild ended early; the live views are untouched."""


class RebuildRefusedError(RebuildError):
    """A rebuild did not begin, and says why."""


class RebuildStoppedError(RebuildError):
    """A view cannot be folded beyond `position`."""

    def __init__(self, view: str, position: int, problem: str) -> None:
        super().__init__(
            f"the rebuild of {view} stopped at position {position}: {problem}; "
            "the live view is as it was"
        )
        self.view = view
        self.position = position
        self.problem = problem


class RebuildInterruptedError(RebuildError):
    """A rebuild was cut short; run again, it goes on from its checkpoint."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"{cause}; what was filled is kept: run `mintage rebuild` again to go on from there"
        )
