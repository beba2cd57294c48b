"""All under way in one commit, or by halves: what is measured decides."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.share import RETRIED, TURNS, Share

LEAST, MOST = 16, 512
WORK_SECONDS = 20e-6
SLOW, FAST = 2.5e-3, 0.4e-3


class Committing:
    """Commits one after another, and what is measured of each."""

    def __init__(self, *, commit_seconds: float, commands: int = 64) -> None:
        self.share = Share(LEAST, MOST)
        self.commit_seconds = commit_seconds
        self.commands = commands
        self.work_seconds = WORK_SECONDS
        self._now = self._worked = 100.0

    def commit(self, times: int = 1, *, commit_seconds: float | None = None) -> Share:
        for _ in range(times):
            sent_at = self._now
            self._now += commit_seconds or self.commit_seconds
            self._worked += self.commands * self.work_seconds
            self.share.measure(self.commands, sent_at, self._now, self._worked)
        return self.share

    def tell(self, *, ask_again: int) -> bool:
        """Commit, and tell all, of whom so many ask again in time; whether that is waited for."""
        share = self.commit()
        if not share.puts_off(self.commands, 0):
            return False
        while share.is_put_off(ask_again, turn=True):
            pass
        return True


def test_until_something_is_measured_it_is_halves() -> None:
    share = Share(LEAST, MOST)
    assert [share.of(n) for n in (1, 16, 17, 40, 600)] == [16, 16, 16, 20, 300]
    assert not share.puts_off(5, 0)


def test_a_slow_flush_makes_one_batch_of_as_many_as_are_handled_meanwhile() -> None:
    share = Committing(commit_seconds=SLOW).commit(3)
    assert [share.of(n) for n in (1, 64, 92, 94, 200)] == [93, 93, 93, 47, 100]
    assert share.puts_off(64, 0)
    assert not share.puts_off(64, 40)
    assert not share.puts_off(LEAST, 0)  # nobody was kept from it


def test_a_fast_flush_leaves_it_at_halves() -> None:
    share = Committing(commit_seconds=FAST).commit(3)
    assert share.of(64) == 32
    assert not share.puts_off(64, 0)


def test_callers_with_much_else_to_do_leave_it_at_halves() -> None:
    committing = Committing(commit_seconds=SLOW)
    committing.work_seconds = 200e-6
    assert committing.commit(3).of(64) == 32


def test_what_lay_at_the_server_behind_another_took_it_no_longer_for_that() -> None:
    share = Share(LEAST, MOST)
    for number in range(20):  # each sent six commits before its answer
        share.measure(64, (number - 6) * FAST, number * FAST, number * 64 * WORK_SECONDS)
    assert share.of(64) == 32


def test_one_long_commit_proves_nothing() -> None:
    committing = Committing(commit_seconds=FAST)
    committing.commit(20)
    assert committing.commit(commit_seconds=10.0).of(64) == 32


def test_another_thread_s_clock_disturbs_it_for_one_commit() -> None:
    share = Committing(commit_seconds=SLOW).commit(20)
    share.measure(64, 200.0, 200.0 + SLOW, 0.0)
    for number in range(1, 4):
        share.measure(
            64, 200.0 + SLOW * number, 200.0 + SLOW * (number + 1), number * 64 * WORK_SECONDS
        )
        assert share.of(80) == pytest.approx(93, abs=15)


def test_it_follows_the_disk() -> None:
    committing = Committing(commit_seconds=FAST)
    assert committing.commit(20).of(64) == 32
    committing.commit_seconds = SLOW
    assert committing.commit(40).of(64) > 64
    committing.commit_seconds = FAST
    assert committing.commit(40).of(64) == 32


def test_the_next_is_put_off_until_as_many_have_asked_as_were_told() -> None:
    share = Committing(commit_seconds=SLOW).commit(3)
    assert share.puts_off(20, 2)
    assert share.is_put_off(2, turn=True)
    assert not share.is_put_off(22, turn=False)
    assert not share.is_put_off(22, turn=True)


@pytest.mark.parametrize("again", range(20))
def test_the_next_is_not_put_off_for_ever(again: int) -> None:
    share = Committing(commit_seconds=SLOW).commit(3)
    assert share.puts_off(20, 2)
    for _ in range(TURNS):
        assert all(share.is_put_off(2 + again, turn=False) for _ in range(9))
        share.is_put_off(2 + again, turn=True)
    assert not share.is_put_off(2 + again, turn=False)


def test_where_they_do_not_ask_again_in_time_it_is_halves_and_seldom_tried() -> None:
    committing = Committing(commit_seconds=SLOW)
    committing.commit(3)
    put_off = [committing.tell(ask_again=10) for _ in range(10 * RETRIED)]
    assert 10 <= sum(put_off) <= 13
    assert committing.share.of(64) == 32


def test_a_crowd_does_not_make_up_for_those_who_do_not_ask_again() -> None:
    committing = Committing(commit_seconds=SLOW, commands=LEAST + 1)
    committing.commit(3)
    assert committing.tell(ask_again=90)
    put_off = [committing.tell(ask_again=0) for _ in range(5)]
    assert put_off == [True, True, True, False, False]


def test_once_they_do_again_it_is_all_in_one_again() -> None:
    committing = Committing(commit_seconds=SLOW)
    committing.commit(3)
    for _ in range(RETRIED):
        committing.tell(ask_again=0)
    put_off = [committing.tell(ask_again=64) for _ in range(2 * RETRIED)]
    assert put_off.index(True) < RETRIED
    assert all(put_off[RETRIED:])


def test_nothing_is_kept_of_what_is_forgotten() -> None:
    committing = Committing(commit_seconds=SLOW)
    share = committing.commit(3)
    assert share.puts_off(20, 0)
    share.forget()
    assert not share.waits
    assert not share.is_put_off(0, turn=True)
    assert share.of(64) == 32
    assert committing.commit(1).of(64) == 32  # what was worked before is not known
    assert committing.commit(1).of(64) > 64


seconds = st.floats(0, 1e4)


@example(least=16, measured=[(1, 0.0, 0.0, 0.0), (1, 0.0, 1e4, 5e-324)], under_way=64)
@given(
    least=st.integers(1, 64),
    measured=st.lists(st.tuples(st.integers(1, 512), seconds, seconds, seconds)),
    under_way=st.integers(1, 20_000),
)
def test_whatever_is_measured_a_share_is_never_less_than_half_or_the_least(
    least: int, measured: list[tuple[int, float, float, float]], under_way: int
) -> None:
    share = Share(least, MOST)
    for each in measured:
        share.measure(*each)
    assert share.of(under_way) >= max(under_way // 2, least)


@pytest.mark.parametrize("commands", [16, 32, 64, 128, 256, 512])
def test_what_rows_take_is_not_taken_for_a_flush(commands: int) -> None:
    """Else the more go into a commit, the more would."""
    dear = FAST + commands * 0.7 * WORK_SECONDS
    share = Committing(commit_seconds=dear, commands=commands).commit(5)
    assert share.of(160) == 80


def test_no_more_go_together_than_fit_into_a_batch() -> None:
    share = Committing(commit_seconds=1.0).commit(5)
    assert share.of(MOST) == MOST
    assert share.of(2 * MOST) == MOST
    assert share.puts_off(MOST - 12, 12)
    assert not share.puts_off(MOST - 12, 13)


def test_giving_up_says_nothing_about_who_was_told() -> None:
    share = Committing(commit_seconds=SLOW).commit(3)
    for _ in range(10):
        assert share.puts_off(20, 2)
        share.give_up()
        assert not share.is_put_off(2, turn=True)
    assert share.of(64) > 64
