"""What is refused goes along with what is recorded: nobody waits longer for it, and it is true."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import Mock, patch

import psycopg
import pytest
import structlog

from databases import Database
from ledger import clock
from ledger.accounts import SNAPSHOT_EVERY
from ledger.batch import Outcome
from ledger.commands import RevokeTokens, Submission
from ledger.errors import (
    GenerationNotFoundError,
    InsufficientTokensError,
    KeyReusedError,
    RateLimitedError,
)
from ledger.identity import new_id
from ledger.ledger import Ledger
from ledger.session import Session
from ledger_running import (
    STEPS_BY,
    deciding_ahead,
    in_one_batch,
    result_of,
    running,
    wait_until,
    whole_log,
    writers_locked,
)
from ledger_samples import NOTE, grant, keyed, opening, plain, request, settle

TOO_DEAR = 1_000


@pytest.fixture(name="ledger", params=STEPS_BY)
def ledger_fixture(request: pytest.FixtureRequest, database: Database) -> Iterator[Ledger]:
    with deciding_ahead(database.url, request.param) as ledger:
        yield ledger


@contextmanager
def read_for(times: int) -> Iterator[None]:
    """Inside, so many batches are read for, and no more."""
    with patch.object(Session, "open", autospec=True, side_effect=Session.open) as read:
        yield
    assert read.call_count == times


def beside_others(ledger: Ledger, database: Database, *asked: Submission) -> list[Any]:
    """What each led to, in one batch with something that is recorded."""
    told = in_one_batch(ledger, database.url, [plain(grant(1)), *asked, plain(grant(1))])
    assert [type(told[0]), type(told[-1])] == [Outcome, Outcome]
    return told[1:-1]


def behind_a_write(
    ledger: Ledger,
    database: Database,
    *asked: Submission,
    before_the_last: Callable[[], None] = lambda: None,
) -> list[Any]:
    """What each led to, taken in one after the other while a batch is at the server."""
    pipeline = ledger.committer._pipeline

    def is_taken(number: int) -> bool:
        batches = [*pipeline._writing, *([pipeline._ahead] if pipeline._ahead else [])]
        decided = sum(len(batch.waiting) for batch in batches) + len(pipeline._slow)
        # A batch that has its share leaves the rest to the next one.
        return decided > number or (pipeline.is_full() and bool(pipeline.waiting))

    futures = []
    with ThreadPoolExecutor(len(asked) + 1) as threads, writers_locked(database.url):
        for number, each in enumerate([plain(grant(1)), *asked]):
            if number == len(asked):
                before_the_last()
            futures.append(threads.submit(ledger.record, each))
            wait_until(partial(is_taken, number), "a command taken in")
    first, *rest = map(result_of, futures)
    assert isinstance(first, Outcome)
    return rest


def all_is_spent(ledger: Ledger) -> None:
    command = RevokeTokens(account_id="ann", amount=ledger.account("ann").available, note_id=NOTE)
    ledger.record(plain(command))


def names(told: Sequence[Any]) -> list[str]:
    return [type(each).__name__ for each in told]


def test_a_refused_request_is_not_read_for(ledger: Ledger, database: Database) -> None:
    with read_for(1):  # what the others of the batch wait behind
        told = beside_others(
            ledger,
            database,
            plain(request(TOO_DEAR, new_id())),
            keyed(request(TOO_DEAR, new_id()), "k"),
            plain(request(1, new_id(), rate_per_minute=1)),
            plain(request(1, new_id(), rate_per_minute=1)),
        )
    assert names(told) == [
        InsufficientTokensError.__name__,
        InsufficientTokensError.__name__,
        "Outcome",
        RateLimitedError.__name__,
    ]
    assert ledger.account("ann").held == 1
    assert ledger.account("ann").settled == 103
    assert len(whole_log(database.url)) == 7


def test_a_refusal_that_was_told_is_gone(ledger: Ledger) -> None:
    """Garbage is collected seldom: a refusal that held its batch would pile up."""

    async def refused() -> "weakref.ref[Any]":
        asked = map(ledger.record_async, [plain(grant(1)), plain(request(TOO_DEAR, new_id()))])
        _, refusal = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(refusal, InsufficientTokensError)
        return weakref.ref(refusal)

    gc.collect()
    gc.disable()
    try:
        with read_for(0):
            refusal = asyncio.run(refused())
        ledger.record(plain(grant(1)))  # by now nobody remembers the batch before
        assert refusal() is None
    finally:
        gc.enable()


def nothing_else(_: Ledger) -> None:
    """The batch is one statement."""


def a_snapshot_is_due(ledger: Ledger) -> None:
    """The batch is several."""
    for _ in range(ledger.account("ann").version, SNAPSHOT_EVERY - 2):
        ledger.record(plain(grant(1)))


@pytest.mark.parametrize("state", [nothing_else, a_snapshot_is_due])
@pytest.mark.parametrize("has_key", [True, False])
def test_what_came_before_is_answered_though_it_would_be_refused_now(
    ledger: Ledger, database: Database, state: Callable[[Ledger], None], *, has_key: bool
) -> None:
    generation_id = new_id()
    asked = request(4, generation_id)
    first = ledger.record(keyed(asked, "k") if has_key else plain(asked))
    ledger.record(plain(settle(generation_id)))
    state(ledger)
    all_is_spent(ledger)
    session = ledger.committer._pipeline._recording._session
    again = keyed(request(4, new_id()), "k", given=asked) if has_key else plain(asked)
    (told,) = beside_others(ledger, database, again)
    assert told.entries == first.entries
    assert told.replayed
    assert ledger.committer._pipeline._recording._session is session


def test_a_key_that_came_with_other_input_is_told_of(ledger: Ledger, database: Database) -> None:
    ledger.record(keyed(request(3, new_id()), "k"))
    (told,) = beside_others(ledger, database, keyed(request(TOO_DEAR, new_id()), "k"))
    assert isinstance(told, KeyReusedError)


def test_what_the_batch_before_records_is_answered(ledger: Ledger, database: Database) -> None:
    """The two are under way at once, and after the first nothing is left to pay the second."""
    asked = keyed(request(101, new_id()), "k")
    again = keyed(request(101, new_id()), "k", given=asked.command)
    several = [plain(grant(1, "plug")) for _ in range(16)]
    ledger.record(plain(opening("plug")))
    told = behind_a_write(ledger, database, asked, *several, again, plain(grant(1, "plug")))
    first, second = told[0], told[-2]
    assert [first.replayed, second.replayed] == [False, True]
    assert first.entries == second.entries


def test_a_key_counts_within_its_batch(ledger: Ledger, database: Database) -> None:
    asked = request(1, new_id())
    with read_for(1):
        told = beside_others(
            ledger,
            database,
            keyed(asked, "k"),
            keyed(request(2, new_id()), "k"),
            keyed(request(1, new_id()), "k", given=asked),
        )
    assert isinstance(told[1], KeyReusedError)
    assert told[0].entries == told[2].entries
    assert [told[0].replayed, told[2].replayed] == [False, True]


def test_a_key_that_was_refused_may_be_tried_again(ledger: Ledger, database: Database) -> None:
    asked = keyed(request(TOO_DEAR, new_id()), "k")
    told = beside_others(ledger, database, asked, plain(grant(TOO_DEAR)), asked)
    assert names(told) == [InsufficientTokensError.__name__, "Outcome", "Outcome"]
    assert not told[2].replayed


def test_nobody_is_limited_by_a_time_that_is_over(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch has the time at which it began, and may wait long for the lock."""
    time = Mock(now=Mock(return_value=datetime(2040, 1, 1, 12, 0, 59, tzinfo=UTC)))
    monkeypatch.setattr(clock, "datetime", time)

    def a_minute_begins() -> None:
        time.now.return_value += timedelta(seconds=2)

    limited = [plain(request(1, new_id(), rate_per_minute=1)) for _ in range(3)]
    assert ledger.record(limited[0]).held == 1
    told = behind_a_write(
        ledger, database, plain(grant(1)), *limited[1:], before_the_last=a_minute_begins
    )
    assert names(told) == ["Outcome", RateLimitedError.__name__, "Outcome"]


def test_it_is_refused_on_what_others_have_written(ledger: Ledger, database: Database) -> None:
    with running(database.url) as other:
        other.record(plain(grant(TOO_DEAR)))
    (told,) = beside_others(ledger, database, plain(request(TOO_DEAR, new_id())))
    assert told.held == TOO_DEAR


def test_where_all_is_refused_it_is_read_for(ledger: Ledger, database: Database) -> None:
    before = whole_log(database.url)
    for _ in range(2):
        refused = pytest.raises(InsufficientTokensError)
        with read_for(1), structlog.testing.capture_logs() as logs, refused:
            ledger.record(plain(request(TOO_DEAR, new_id())))
        assert logs == []
    assert whole_log(database.url) == before
    with running(database.url) as other:
        other.record(plain(grant(TOO_DEAR)))
    assert ledger.record(plain(request(TOO_DEAR, new_id()))).held == TOO_DEAR


def test_where_all_is_refused_the_order_is_kept(ledger: Ledger, database: Database) -> None:
    asked = [plain(request(TOO_DEAR, new_id())), plain(settle(new_id())), plain(grant(TOO_DEAR))]
    told = in_one_batch(ledger, database.url, asked)
    expected = [InsufficientTokensError.__name__, GenerationNotFoundError.__name__, "Outcome"]
    assert names(told) == expected


def test_what_is_refused_waits_for_something_to_go_along_with(
    ledger: Ledger, database: Database
) -> None:
    asked = [plain(request(TOO_DEAR, new_id())) for _ in range(40)]
    with read_for(0):
        told = behind_a_write(ledger, database, *asked, plain(grant(TOO_DEAR)))
    assert names(told) == [InsufficientTokensError.__name__] * 40 + ["Outcome"]


def test_what_stands_on_what_another_has_refuted_is_decided_again(
    ledger: Ledger, database: Database
) -> None:
    with running(database.url) as other:
        other.record(plain(grant(TOO_DEAR)))
    asked = [plain(request(TOO_DEAR, new_id())), *[plain(grant(1)) for _ in range(20)]]
    told = behind_a_write(ledger, database, *asked)
    assert names(told) == ["Outcome"] * 21


def test_what_else_is_refused_is_read_for(ledger: Ledger, database: Database) -> None:
    asked = request(2, new_id())
    ledger.record(plain(asked))
    ended = ledger.record(plain(settle(asked.generation_id)))
    told = beside_others(
        ledger, database, plain(settle(asked.generation_id)), plain(settle(new_id()))
    )
    assert told[0].entries == ended.entries
    assert isinstance(told[1], GenerationNotFoundError)


def test_without_its_check_nothing_is_told(ledger: Ledger, database: Database) -> None:
    """The commit does ask: a check that finds everything has the batch read for."""
    found = """CREATE OR REPLACE FUNCTION ledger_check_absent(ids uuid[]) RETURNS void
        LANGUAGE plpgsql STRICT AS $$
        BEGIN RAISE EXCEPTION 'found' USING ERRCODE = 'MT002'; END $$"""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(found.encode())
    with read_for(1):
        ledger.record(plain(opening("bob")))
    with read_for(0):
        ledger.record(plain(grant(1)))
    with read_for(2):
        (told,) = beside_others(ledger, database, plain(request(TOO_DEAR, new_id())))
    assert isinstance(told, InsufficientTokensError)
