"""Times as the reader's own clock and calendar show them.

The browser's script keeps its time zone in a cookie; until it has, times are told in UTC.
"""

import re
from datetime import UTC, date, datetime, tzinfo
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from babel.dates import format_skeleton
from litestar import Request

from api.http.times import TIME_CHARACTERS_MAX
from api.pages.language import chosen_locale
from api.problems.field_errors import invalid
from api.texts.i18n import Locale, msg

COOKIE = "mintage_zone"
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """One reader's way to tell the time."""

    locale: Locale
    zone: tzinfo
    now: datetime

    def day(self, at: datetime) -> str:
        """The date with its weekday; the year where it is another."""
        local = at.astimezone(self.zone)
        skeleton = "MMMEd" if local.year == self._today.year else "yMMMEd"
        return self._told(skeleton, local)

    def on(self, at: datetime) -> date:
        """The reader's date at that time, to group by."""
        return at.astimezone(self.zone).date()

    def time(self, at: datetime) -> str:
        """The time of day."""
        return self._told("Hm", at.astimezone(self.zone))

    def short(self, at: datetime) -> str:
        """Date and time; the year where it is another."""
        local = at.astimezone(self.zone)
        skeleton = "MMMd" if local.year == self._today.year else "yMMMd"
        return f"{self._told(skeleton, local)} {self._told('Hm', local)}"

    def exact(self, at: datetime) -> str:
        """To the second, with the zone, as support needs it."""
        local = at.astimezone(self.zone)
        return f"{local:%Y-%m-%d %H:%M:%S} {local:%Z}"

    def field(self, at: datetime) -> str:
        """As a field for date and time holds it."""
        return at.astimezone(self.zone).replace(tzinfo=None).isoformat(timespec="seconds")

    def read(self, text: str, name: str) -> datetime:
        """The time that such a field holds, in UTC. Raises `InvalidInputError` naming it."""
        try:
            if len(text) <= TIME_CHARACTERS_MAX:
                local = datetime.fromisoformat(text)
                if local.tzinfo is None:
                    local = local.replace(tzinfo=self.zone)
                return local.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise invalid(name, msg("Is not a date and a time."))

    @property
    def _today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def _told(self, skeleton: str, local: datetime) -> str:
        return format_skeleton(skeleton, local, tzinfo=self.zone, locale=self.locale)


def clock_of(request: Request[Any, Any, Any]) -> Clock:
    """The clock of this browser; injected as `clock`."""
    name = unquote(request.cookies.get(COOKIE, ""))
    return Clock(locale=chosen_locale(request), zone=zone_of(name), now=datetime.now(UTC))


def zone_of(name: str) -> tzinfo:
    """The time zone of that name; UTC where there is none."""
    # It comes from outside, and zones are looked up as files.
    if _ZONE.fullmatch(name) is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
