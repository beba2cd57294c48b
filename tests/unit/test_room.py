"""Bytes in memory: first come, first let in; nobody waits for ever, nothing is given back twice."""

import asyncio

import pytest

from generation.room import Room


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.anyio
async def test_who_comes_first_is_let_in_first_as_soon_as_there_is_room() -> None:
    room, let_in = Room(100), list[str]()

    async def take(name: str, count: int) -> None:
        await room.take(count)
        let_in.append(name)

    tasks = [asyncio.create_task(take(*each)) for each in (("a", 60), ("b", 60), ("c", 10))]
    await settle()
    assert let_in == ["a"]  # c would fit, but b came before it
    room.give(60)
    await settle()
    assert let_in == ["a", "b", "c"]
    await asyncio.gather(*tasks)


@pytest.mark.anyio
async def test_what_is_larger_than_the_room_has_it_alone() -> None:
    room = Room(100)
    await room.take(50)
    large = asyncio.create_task(room.take(500))
    await settle()
    assert not large.done()
    room.give(50)
    await large
    small = asyncio.create_task(room.take(1))
    await settle()
    assert not small.done()
    room.give(500)
    await small


@pytest.mark.anyio
async def test_giving_up_the_wait_lets_the_next_one_in() -> None:
    room = Room(100)
    await room.take(100)
    first, second = (asyncio.create_task(room.take(count)) for count in (100, 50))
    await settle()
    first.cancel()
    room.give(60)
    await settle()
    assert first.cancelled()
    await second
    room.give(40)
    room.give(50)
    await asyncio.wait_for(room.take(100), 1)


@pytest.mark.anyio
async def test_one_that_is_let_in_and_canceled_at_the_same_moment_gives_it_back() -> None:
    room = Room(100)
    await room.take(100)
    waiting = asyncio.create_task(room.take(100))
    await settle()
    room.give(100)  # lets it in
    waiting.cancel()  # before it runs
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait_for(room.take(100), 1)


@pytest.mark.anyio
async def test_a_part_grows_without_waiting_and_gives_all_of_it_back_once() -> None:
    room = Room(100)
    with room.part() as part:
        await part.take(80)
        part.reach(150)
        part.reach(10)
        blocked = asyncio.create_task(room.take(1))
        await settle()
        assert not blocked.done()
        part.empty()
        await blocked
        room.give(1)
    await asyncio.wait_for(room.take(100), 1)
