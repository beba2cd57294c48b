"""Many small calls as few large ones: each gets its own answer, and only its own."""

import asyncio

import pytest

from generation.batched import BATCH_MAX, Batched


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Doubling:
    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()

    async def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        await self.go.wait()
        if -1 in items:
            raise ValueError("-1")
        return [2 * item for item in items]


@pytest.mark.anyio
async def test_what_comes_while_a_call_is_under_way_goes_together_in_the_next() -> None:
    function = Doubling()
    call = Batched(function)
    first = asyncio.create_task(call(1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(call(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0.01)
    assert function.batches == [[1]]
    function.go.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert function.batches == [[1], [2, 3, 4]]
    assert await call(5) == 10


@pytest.mark.anyio
async def test_an_error_is_raised_to_each_of_its_batch_and_to_no_other() -> None:
    function = Doubling()
    call = Batched(function)
    tasks = [asyncio.create_task(call(number)) for number in (-1, 2)]
    await asyncio.sleep(0.01)
    later = asyncio.create_task(call(3))
    function.go.set()
    results = await asyncio.gather(*tasks, later, return_exceptions=True)
    assert [type(each) for each in results[:1]] == [ValueError]
    assert results[2] == 6


@pytest.mark.anyio
async def test_an_answer_too_few_is_an_error_of_its_batch() -> None:
    async def short(items: list[int]) -> list[int]:
        return items[:-1]

    with pytest.raises(ValueError, match="shorter"):
        await asyncio.wait_for(Batched(short)(1), 5)


@pytest.mark.anyio
async def test_giving_up_the_wait_takes_nothing_back_and_stops_nobody() -> None:
    function = Doubling()
    call = Batched(function)
    first, second = (asyncio.create_task(call(number)) for number in (1, 2))
    await asyncio.sleep(0.01)
    first.cancel()
    function.go.set()
    assert await second == 4
    assert first.cancelled()
    assert [item for batch in function.batches for item in batch] == [1, 2]


@pytest.mark.anyio
async def test_a_batch_is_bounded() -> None:
    function = Doubling()
    function.go.set()
    call = Batched(function)
    await asyncio.gather(*(call(number) for number in range(2 * BATCH_MAX + 1)))
    assert max(map(len, function.batches)) <= BATCH_MAX
