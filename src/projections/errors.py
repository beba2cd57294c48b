"""What the views say no with.

ProjectionError
├── UnknownFactError   view, position, topic: the view does not know that kind of fact
└── ViewsBehindError   views: they could not be brought level in time
"""

from collections.abc import Sequence


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
