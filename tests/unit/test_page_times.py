"""Times on pages, as the reader's clock and calendar show them; and the shapes of pictures."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from api.http.schemas import AspectRatio
from api.pages.clock import Clock, zone_of
from api.pages.shapes import RATIOS, nearest_ratio
from api.problems.refusals import InvalidInputError

NOW = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
LATE = datetime(2026, 1, 31, 17, 30, 5, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_a_day_is_the_readers_own() -> None:
    there = Clock(locale="zh_CN", zone=SHANGHAI, now=NOW)
    here = Clock(locale="en", zone=UTC, now=NOW)
    assert (there.on(LATE), here.on(LATE)) == (date(2026, 2, 1), date(2026, 1, 31))
    assert (there.day(LATE), here.day(LATE)) == ("2月1日周日", "Sat, Jan 31")
    assert (there.time(LATE), here.time(LATE)) == ("01:30", "17:30")
    assert (there.short(LATE), here.short(LATE)) == ("2月1日 01:30", "Jan 31 17:30")
    assert there.exact(LATE) == "2026-02-01 01:30:05 CST"


def test_another_year_is_told() -> None:
    clock = Clock(locale="zh_CN", zone=SHANGHAI, now=NOW)
    before = datetime(2025, 12, 31, 15, 59, tzinfo=UTC)
    assert clock.day(before) == "2025年12月31日周三"
    assert clock.short(before) == "2025年12月31日 23:59"
    assert clock.day(before + timedelta(minutes=1)) == "1月1日周四"


def test_a_field_is_read_by_the_clock_that_wrote_it() -> None:
    clock = Clock(locale="en", zone=SHANGHAI, now=NOW)
    assert clock.field(LATE) == "2026-02-01T01:30:05"
    assert clock.read(clock.field(LATE), "at") == LATE
    assert clock.read("2026-02-01T01:30", "at") == LATE.replace(second=0)
    assert clock.read("2026-01-31T17:30:05Z", "at") == LATE
    for wrong in ("", "yesterday", "2026-13-01T00:00", "0001-01-01T00:00:00", "9" * 41):
        with pytest.raises(InvalidInputError):
            clock.read(wrong, "at")


@pytest.mark.parametrize(
    "name", ["", "Nowhere/City", "../../etc/passwd", "/etc/passwd", "UTC\0", "Asia"]
)
def test_a_zone_that_there_is_not_is_utc(name: str) -> None:
    assert zone_of(name) is UTC


def test_a_zone_that_there_is() -> None:
    assert zone_of("Asia/Shanghai") == SHANGHAI


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_picture_has_the_shape_that_it_was_asked_with(ratio: AspectRatio) -> None:
    across, down = map(int, ratio.split(":"))
    assert nearest_ratio(across * 100, down * 100) == ratio
    assert nearest_ratio(across * 100 + 3, down * 100 - 3) == ratio


def test_an_odd_picture_has_the_nearest_shape() -> None:
    assert (nearest_ratio(5000, 10), nearest_ratio(1, 9000)) == ("16:9", "9:16")
