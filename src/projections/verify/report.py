"""What a verification has looked at, and what it could not."""

from typing import Literal

import msgspec

Status = Literal["ok", "findings", "incomplete"]


class ViewReport(msgspec.Struct, kw_only=True):
    """Up to which position a view was compared, and how many events of the log lie beyond."""

    position: int
    behind: int


class Report(msgspec.Struct, kw_only=True):
    """`position` is where the log ended; `incomplete` says in words what was not looked at.

    `chained` is how far the chain goes, `sealed` the position of the seal; None: not asked for.
    `remade`: the chain is not the one that was sealed, but made anew since over the same rows.
    """

    position: int = 0
    events: int = 0
    findings: int = 0
    objects: int = 0
    chained: int | None = None
    sealed: int | None = None
    remade: bool = False
    views: dict[str, ViewReport] = {}
    incomplete: list[str] = []

    @property
    def status(self) -> Status:
        """`ok` only where all that was asked for was looked at and nothing found."""
        if self.incomplete:
            return "incomplete"
        return "findings" if self.findings else "ok"
