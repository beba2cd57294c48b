"""Where the flush is slow, whoever is told goes into one commit with whoever waits already."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from unittest.mock import patch

import pytest

from databases import Database
from ledger.ledger import Ledger
from ledger.pipeline import BATCH_MAX, SHARE_MIN
from ledger.share import TURNS
from ledger_running import (
    WAIT_SECONDS_MAX,
    deciding_ahead,
    wait_until,
    whole_log,
    writers_locked,
)
from ledger_samples import grant, opening, plain

CALLERS = SHARE_MIN + 4


@pytest.fixture(name="ledger")
def ledger_fixture(database: Database) -> Iterator[Ledger]:
    with deciding_ahead(database.url, "a thread") as ledger:
        yield ledger


def measure_slow(ledger: Ledger) -> None:
    share = ledger.committer._pipeline._share
    for number in range(1, 4):
        share.measure(1, number - 1.0, number, number * 1e-6)
    assert share.of(BATCH_MAX) == BATCH_MAX


@contextmanager
def sizes(ledger: Ledger) -> Iterator[list[int]]:
    """Of the batches that are sent."""
    found: list[int] = []
    recording = ledger.committer._pipeline._recording
    send = recording.send

    def noted(ahead, before=None):  # type: ignore[no-untyped-def]
        found.append(len(ahead.waiting))
        assert before is None
        send(ahead, before)

    with patch.object(recording, "send", noted):
        yield found


async def ask(ledger: Ledger, times: int = 1) -> None:
    for _ in range(times):
        await ledger.record_async(plain(grant(1)))


async def until(reached: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, reached, what)


@asynccontextmanager
async def on_loop(ledger: Ledger) -> AsyncIterator[None]:
    with ledger.on_loop():
        await until(lambda: not ledger.committer._pipeline.job, "no job")
        measure_slow(ledger)
        yield


async def come_late(ledger: Ledger, url: str, callers: int) -> "asyncio.Task[None]":
    """One that asks while that many are written, and waits when they are told."""
    pipeline = ledger.committer._pipeline
    with writers_locked(url):
        await until(lambda: pipeline._writing, "a write under way")
        assert len(pipeline._writing[0].waiting) == callers
        late = asyncio.ensure_future(ask(ledger))
        await until(lambda: pipeline._ahead, "one that waits")
    return late


def run(main: "asyncio._CoroutineLike[None]") -> None:
    asyncio.run(asyncio.wait_for(main, WAIT_SECONDS_MAX))


@pytest.mark.parametrize(
    ("times", "batches"), [(1, [CALLERS, 1]), (3, [CALLERS, CALLERS + 1, CALLERS])]
)
def test_whoever_waits_goes_along_with_whoever_asks_again_and_alone_if_nobody_does(
    ledger: Ledger, database: Database, times: int, batches: list[int]
) -> None:
    async def main() -> None:
        async with on_loop(ledger):
            callers = [asyncio.ensure_future(ask(ledger, times)) for _ in range(CALLERS)]
            late = await come_late(ledger, database.url, CALLERS)
            await asyncio.gather(*callers, late)

    with sizes(ledger) as found:
        run(main())
    assert found == batches
    assert len(whole_log(database.url)) == 3 + sum(batches)


@pytest.mark.parametrize("how", ["leaving", "closing"])
def test_what_was_put_off_is_recorded_though_the_loop_takes_no_more_steps(
    ledger: Ledger, database: Database, how: str
) -> None:
    async def main() -> None:
        async with on_loop(ledger):
            callers = [asyncio.ensure_future(ask(ledger)) for _ in range(CALLERS)]
            late = await come_late(ledger, database.url, CALLERS)
            await callers[0]  # and now it is put off for us
            assert sent == [CALLERS]
            if how == "closing":
                ledger.close()
        if how == "leaving":
            wait_until(lambda: sent == [CALLERS, 1], "that it is sent while the loop stands still")
        await late

    with sizes(ledger) as sent:
        run(main())
    assert len(whole_log(database.url)) == 3 + CALLERS + 1


def test_nothing_is_put_off_where_a_thread_takes_the_steps(ledger: Ledger) -> None:
    """Whoever is told works beside it."""
    measure_slow(ledger)
    ledger.record(plain(grant(1)))
    assert ledger.committer._pipeline._share.of(500) == 250


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_whoever_takes_a_turn_or_two_to_ask_again_goes_along(ledger: Ledger, turns: int) -> None:
    """Though others ask in each turn, and so steps are taken in between."""

    async def asking(number: int) -> None:
        for _ in range(5):
            await ask(ledger)
            for _ in range(number % (turns + 1)):
                await asyncio.sleep(0)

    async def main() -> None:
        async with on_loop(ledger):
            await asyncio.gather(*map(asking, range(CALLERS)))

    with sizes(ledger) as found:
        run(main())
    assert found == [CALLERS] * 5


def test_what_nobody_joins_is_not_put_off_and_said_of_nobody(
    ledger: Ledger, database: Database
) -> None:
    """A cold account is read for, and what comes after it in its turn, too."""
    share = ledger.committer._pipeline._share

    async def main() -> None:
        async with on_loop(ledger):
            callers = [asyncio.ensure_future(ask(ledger)) for _ in range(CALLERS)]
            with writers_locked(database.url):
                await until(lambda: ledger.committer._pipeline._writing, "a write under way")
                cold = asyncio.ensure_future(ledger.record_async(plain(opening("bob"))))
                await until(lambda: ledger.committer._pipeline._slow, "one to be read for")
            await callers[0]
            assert not share.waits
            await asyncio.gather(*callers, cold)

    with sizes(ledger) as found:
        run(main())
    assert found == [CALLERS]
    assert share._again == 1


def test_after_a_burst_nobody_is_waited_for_any_more(ledger: Ledger) -> None:
    share = ledger.committer._pipeline._share

    async def main() -> None:
        async with on_loop(ledger):
            await asyncio.gather(*(ask(ledger) for _ in range(CALLERS)))
            for _ in range(TURNS):
                await asyncio.sleep(0)
            assert not share.waits
            assert share.of(BATCH_MAX) == BATCH_MAX  # once is no rule
            await ask(ledger)

    with sizes(ledger) as found:
        run(main())
    assert found == [CALLERS, 1]
