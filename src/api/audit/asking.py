"""Which moment is asked about: a time or a position, and never both."""

from datetime import datetime
from typing import Annotated, TypedDict

from litestar.params import QueryParameter

from api.http.times import TIME_CHARACTERS_MAX, parse_time
from api.problems.field_errors import invalid
from api.texts.i18n import msg

_POSITION_MAX = 2**63 - 1

AtParameter = Annotated[
    str | None,
    QueryParameter(max_length=TIME_CHARACTERS_MAX, description="As of that time, inclusive."),
]
PositionParameter = Annotated[
    int | None,
    QueryParameter(
        ge=1, le=_POSITION_MAX, description="As of that position of the log, inclusive."
    ),
]


class Moment(TypedDict):
    """What `standing_at` takes; both are None where it is now that is asked about."""

    at: datetime | None
    position: int | None


def moment(at: str | None, position: int | None, *, required: bool = False) -> Moment:
    """Check what was given. Raises `InvalidInputError` naming `at`."""
    if at is not None and position is not None:
        raise invalid("at", msg("Either a time or a position, not both."))
    if required and at is None and position is None:
        raise invalid("at", msg("A time or a position is required."))
    return Moment(at=parse_time(at, "at") if at is not None else None, position=position)
