"""What was decided ahead stands on the batch before it, and falls with it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from unittest.mock import Mock, patch

import psycopg
import pytest
import structlog

import databases
from ledger import snapshots
from ledger.batch import Outcome
from ledger.commands import GrantTokens, OpenAccount, RevokeTokens, Submission
from ledger.errors import InsufficientTokensError
from ledger.identity import input_hash, key_id, new_id
from ledger.ledger import Ledger
from ledger.log import TAIL_MAX, WRITTEN_MAX
from ledger.recording import Recording
from ledger.session import Session
from ledger_running import wait_until, writers_locked

KEY = key_id("ann", "grant", "one")
INPUT = input_hash([b"7"])


def grant(amount: int, *, keyed: bool = False) -> Submission:
    return Submission(
        command=GrantTokens(account_id="ann", amount=amount, reason="promo"),
        actor="test",
        key_id=KEY if keyed else None,
        input_hash=INPUT if keyed else None,
    )


def opened(database: databases.Database) -> Ledger:
    """A ledger that has written alone, and so decides ahead."""
    ledger = Ledger(database.url)
    opening = OpenAccount(account_id="ann", is_member=False, tokens=100)
    ledger.record(Submission(command=opening, actor="test"))
    ledger.record(grant(7, keyed=True))
    ledger.record(grant(1))
    return ledger


def two_batches(
    database: databases.Database, ledger: Ledger, first: list[Submission], second: list[Submission]
) -> list[Outcome]:
    """`first` is being written, and blocked, while `second` is decided on top of it."""
    pipeline = ledger.committer._pipeline
    with ThreadPoolExecutor(len(first) + len(second)) as callers:
        with writers_locked(database.url):
            futures: list[Future[Outcome]] = []
            for number, submission in enumerate(first):
                futures.append(callers.submit(ledger.record, submission))
                if number == 0:
                    wait_until(lambda: len(pipeline._writing) > 0, "a write under way")
            for number, submission in enumerate(second, 1):
                futures.append(callers.submit(ledger.record, submission))
                wait_until(partial(_decided, ledger, number), "a batch decided ahead")
        return [future.result(timeout=30) for future in futures]


def _decided(ledger: Ledger, count: int) -> bool:
    ahead = ledger.committer._pipeline._ahead
    return ahead is not None and len(ahead.waiting) == count


def places(database: databases.Database) -> list[tuple[int, int, int]]:
    with psycopg.connect(database.url) as connection:
        return connection.execute(
            "SELECT position, version, settled FROM ledger_events ORDER BY position"
        ).fetchall()


def test_a_repetition_in_the_batch_before_leaves_no_gap(database: databases.Database) -> None:
    ledger = opened(database)
    repeated, new = two_batches(database, ledger, [grant(7, keyed=True)], [grant(30)])
    assert repeated.replayed
    assert not new.replayed
    assert places(database) == [(1, 1, 0), (2, 2, 100), (3, 3, 107), (4, 4, 108), (5, 5, 138)]
    assert new.entries[0].position == 5
    assert new.settled == ledger.account("ann").settled == 138
    ledger.close()


def test_another_process_in_between_moves_both_batches(database: databases.Database) -> None:
    ledger = opened(database)
    other = Ledger(database.url)
    other.record(grant(1_000))
    first, second = two_batches(database, ledger, [grant(20)], [grant(30)])
    assert [first.entries[0].position, second.entries[0].position] == [6, 7]
    assert second.settled == 1_158
    assert [settled for _, _, settled in places(database)[4:]] == [1_108, 1_128, 1_158]
    ledger.close()
    other.close()


def test_a_batch_decided_ahead_is_written_after_the_one_before(
    database: databases.Database,
) -> None:
    ledger = opened(database)
    outcomes = two_batches(database, ledger, [grant(20)], [grant(30), grant(40)])
    assert [outcome.entries[0].position for outcome in outcomes] == [5, 6, 7]
    assert [settled for _, _, settled in places(database)[4:]] == [128, 158, 198]
    ledger.close()


def test_an_account_that_others_have_taken_far_is_loaded_anew(database: databases.Database) -> None:
    """Further than is read of one under the writers' lock."""

    async def write_on(other: Ledger) -> None:
        await asyncio.gather(*(other.record_async(grant(1)) for _ in range(TAIL_MAX + 1)))

    with opened(database) as ledger:
        with Ledger(database.url) as other:
            other.record(grant(1))
            ledger.record(grant(1))  # and so it knows that it does not write alone
            asyncio.run(write_on(other))
        with structlog.testing.capture_logs() as logs:
            outcome = ledger.record(grant(5))
        assert outcome.settled == 100 + 7 + 1 + 2 + TAIL_MAX + 1 + 5
        assert logs == []


ACCOUNTS = ("ann", "bob", "cid")


def to(account_id: str) -> Submission:
    command = GrantTokens(account_id=account_id, amount=1, reason="promo")
    return Submission(command=command, actor="test")


def in_memory(ledger: Ledger) -> None:
    """They are open, and it knows that it writes alone."""
    for name in ACCOUNTS:
        opening = OpenAccount(account_id=name, is_member=False, tokens=100)
        ledger.record(Submission(command=opening, actor="test"))
    ledger.record(to("ann"))


@contextmanager
def reading() -> Iterator[Mock]:
    """Inside, batches are read for as often as the mock is called, and none turns out stale."""
    with (
        patch.object(Session, "open", autospec=True, side_effect=Session.open) as read,
        patch.object(Recording, "retry", side_effect=AssertionError("decided on what is not so")),
    ):
        yield read


def test_an_account_that_others_have_not_written_is_not_read_again(
    database: databases.Database,
) -> None:
    with Ledger(database.url) as ledger, Ledger(database.url) as other:
        in_memory(ledger)
        other.record(to("bob"))
        with patch.object(snapshots, "load", side_effect=AssertionError("loaded anew")):
            for _ in range(2):  # the first meets what the other has written, the second no more
                ledger.record(to("ann"))
        with reading() as read:
            assert ledger.record(to("cid")).settled == 101
            assert ledger.record(to("ann")).settled == 104
            assert read.call_count == 0
            assert ledger.record(to("bob")).settled == 102
            assert read.call_count == 1
            assert ledger.record(to("bob")).settled == 103
            assert read.call_count == 1


def test_where_others_have_written_too_much_to_tell_every_account_is_read_again(
    database: databases.Database,
) -> None:
    async def write_on(other: Ledger) -> None:
        await asyncio.gather(*(other.record_async(to("bob")) for _ in range(WRITTEN_MAX + 1)))

    with Ledger(database.url) as ledger, Ledger(database.url) as other:
        in_memory(ledger)
        asyncio.run(write_on(other))
        other.record(to("cid"))
        for _ in range(2):
            ledger.record(to("ann"))
        with reading() as read:
            assert ledger.record(to("cid")).settled == 102
            assert ledger.record(to("bob")).settled == 100 + WRITTEN_MAX + 2
            assert read.call_count == 2


def test_what_others_have_taken_far_is_loaded_before_the_lock_and_not_read_under_it(
    database: databases.Database,
) -> None:
    async def write_on(other: Ledger, many: int) -> None:
        await asyncio.gather(*(other.record_async(to("ann")) for _ in range(many)))

    with Ledger(database.url) as ledger, Ledger(database.url) as other:
        in_memory(ledger)
        for many, loads in ((WRITTEN_MAX, 0), (WRITTEN_MAX + 1, 1)):
            before = ledger.account("ann").settled
            asyncio.run(write_on(other, many))
            with patch.object(snapshots, "load", wraps=snapshots.load) as load:
                assert ledger.record(to("ann")).settled == before + many + 1
                assert load.call_count == loads
            ledger.record(to("ann"))  # and so it knows that it writes alone


def test_only_what_others_have_written_is_brought_level_under_the_lock(
    database: databases.Database,
) -> None:
    async def together(ledger: Ledger) -> list[Outcome]:
        opening = OpenAccount(account_id="dan", is_member=False, tokens=100)
        asked = [Submission(command=opening, actor="test"), to("ann"), to("bob")]
        return await asyncio.gather(*map(ledger.record_async, asked))

    with Ledger(database.url) as ledger, Ledger(database.url) as other:
        in_memory(ledger)
        other.record(to("bob"))
        with patch.object(Session, "tails", autospec=True, side_effect=Session.tails) as tails:
            assert [each.settled for each in asyncio.run(together(ledger))] == [100, 102, 102]
            other.record(to("bob"))  # by now that is expected, and asked for with the rest
            assert ledger.record(to("bob")).settled == 104
        read = [[account.account_id for account in call.args[1]] for call in tails.call_args_list]
        assert read == [["bob"], [], []]  # between ours the other one's


def off(account_id: str, amount: int) -> Submission:
    command = RevokeTokens(account_id=account_id, amount=amount, note_id=new_id())
    return Submission(command=command, actor="test")


def test_a_refusal_stands_on_what_others_have_written(database: databases.Database) -> None:
    """It writes no row, so no constraint would tell."""
    with Ledger(database.url) as ledger, Ledger(database.url) as other:
        in_memory(ledger)
        other.record(to("bob"))
        other.record(off("cid", 50))
        for _ in range(2):
            ledger.record(to("ann"))
        with pytest.raises(InsufficientTokensError) as refused:
            ledger.record(off("cid", 60))
        assert refused.value.available == 50
        assert ledger.record(off("bob", 101)).settled == 0
