"""The edges of the sliding minute, and the wait that a refusal promises."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from ledger.account import Pace
from ledger.errors import RateLimitedError
from ledger.facts import AccountOpened
from ledger.identity import new_id
from ledger.testing import Scenario, given
from ledger_samples import ACCOUNT, release, request, requested

MINUTE = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return MINUTE + timedelta(seconds=seconds)


def asked_at(*seconds: float) -> Scenario:
    scenario = given(ACCOUNT, AccountOpened(is_member=False))
    for moment in seconds:
        generation_id = new_id()
        scenario.when(request(0, generation_id), at=after(moment)).then(requested(0, generation_id))
    return scenario


# Requests at these seconds, a limit, then one more at this second: taken (None) or this wait.
EDGES: list[tuple[tuple[float, ...], int, float, int | None]] = [
    ((), 1, 0, None),
    ((0,), 2, 0, None),
    ((0,), 1, 0, 61),  # at 60 s all of it still counts, at 61 s less than all
    ((0,), 1, 59.999999, 1),
    ((0,), 1, 60, 1),
    ((0,), 1, 60.000001, None),
    ((59.999999,), 1, 60.000001, None),  # it weighs by the share of the minute that is left
    ((0, 0), 2, 60, 1),
    ((0, 0, 0, 0), 2, 60, 31),
    ((0, 0, 0, 0), 2, 90, 1),
    ((0, 0, 0, 0), 2, 90.000001, None),
    ((0, 0, 70), 2, 75, 16),  # 1 + 2 × (60 − 15) ÷ 60, until 30 s are gone
    ((0, 0, 70), 2, 90.5, None),
    ((0, 0, 70), 3, 75, None),
    ((0, 0), 1, 120, None),  # two minutes on, nothing counts
    ((0, 0), 1, 119.999999, None),
    ((0, 0), 1, 89.999999, 1),
    ((0,) * 5, 0, 0, None),  # no limit
]


@pytest.mark.parametrize(("before", "limit", "then", "wait"), EDGES)
def test_edges(before: tuple[float, ...], limit: int, then: float, wait: int | None) -> None:
    generation_id = new_id()
    scenario = asked_at(*before)
    scenario.when(request(0, generation_id, rate_per_minute=limit), at=after(then))
    if wait is None:
        scenario.then(requested(0, generation_id))
    else:
        scenario.then_refused(RateLimitedError(wait))


def test_an_ended_generation_still_counts() -> None:
    only = UUID("01930000-0000-7000-8000-0000000000bb")
    scenario = asked_at()
    scenario.when(request(0, only, rate_per_minute=1), at=after(1)).when(release(only))
    scenario.when(request(0, new_id(), rate_per_minute=1), at=after(2))
    scenario.then_refused(RateLimitedError(59))


def test_a_minute_seen_from_later_ones() -> None:
    pace = Pace(10, 3, 2)
    assert pace.at_minute(10) == pace
    assert pace.at_minute(11) == Pace(11, 0, 3)
    assert pace.at_minute(12) == Pace(12, 0, 0)
    assert pace.at_minute(1000) == Pace(1000, 0, 0)


@examples(
    microseconds=st.lists(st.integers(0, 180_000_000), min_size=1, max_size=12).map(sorted),
    limit=st.integers(1, 6),
)
def test_the_wait_is_enough_and_not_a_second_more(microseconds: list[int], limit: int) -> None:
    *before, then = (moment / 1_000_000 for moment in microseconds)
    scenario = asked_at(*before)
    account = scenario.account
    scenario.when(request(0, new_id(), rate_per_minute=limit), at=after(then))
    if scenario.account != account:
        assert (
            len(before) < limit
            or account.pace.minute < int(after(then).timestamp()) // 60
            or (account.pace.count < limit)
        )
        return
    wait = _wait_of(scenario)
    assert 1 <= wait <= 120
    if wait > 1:
        scenario.when(
            request(0, new_id(), rate_per_minute=limit), at=after(then + wait - 1)
        ).then_refused(RateLimitedError(1))
    enough = new_id()
    scenario.when(request(0, enough, rate_per_minute=limit), at=after(then + wait))
    scenario.then(requested(0, enough))


def _wait_of(scenario: Scenario) -> int:
    refusal = scenario._result
    assert isinstance(refusal, RateLimitedError)
    return refusal.retry_after_seconds
