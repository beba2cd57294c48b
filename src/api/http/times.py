"""Times that callers give: RFC 3339, with their offset, or they would mean something else here."""

import re
from datetime import datetime
from typing import Annotated

import msgspec

from api.problems.field_errors import invalid
from api.texts.i18n import msg

TIME_CHARACTERS_MAX = 40
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
# What becomes of a plus in a query that nobody has escaped.
_SPACE = re.compile(r" (?=[0-9]{2}:[0-9]{2}$)")


def parse_time(text: str, field: str) -> datetime:
    """The time. Raises `InvalidInputError` naming `field`."""
    try:
        if len(text) <= TIME_CHARACTERS_MAX:
            time: datetime = msgspec.convert(_SPACE.sub("+", text), _Time)
            return time
    except msgspec.ValidationError:
        pass
    raise invalid(
        field, msg("Must be a time as in RFC 3339 with its offset: 2026-01-31T08:00:00Z.")
    )
