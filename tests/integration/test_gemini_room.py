"""Answers of Gemini wait, unread, until there is room for them in memory."""

import asyncio
from collections.abc import Iterator

import pytest

from gemini_stub import GeminiStub
from generation.connections import IDLE_MAX, OneEach
from generation.gemini import GeminiProvider
from generation.provider import ImageRequest, ProviderError
from generation.room import Room

TIMEOUT_SECONDS = 3.0
ASKED = ImageRequest(title="湖", content="a lake", aspect_ratio="1:1")

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stub() -> Iterator[GeminiStub]:
    with GeminiStub() as running:
        yield running


def provider(stub: GeminiStub, timeout_seconds: float = TIMEOUT_SECONDS) -> GeminiProvider:
    return GeminiProvider(
        api_key="key",
        model="gemini-image",
        base_url=stub.base_url,
        timeout_seconds=timeout_seconds,
    )


async def test_the_wait_for_room_is_not_the_providers_time(stub: GeminiStub) -> None:
    gemini, room = provider(stub), Room(1)
    with room.part() as other, room.part() as part:
        await other.take(1)
        call = asyncio.create_task(gemini.generate(ASKED, part))
        await asyncio.sleep(2 * TIMEOUT_SECONDS)
        assert not call.done()
        other.empty()
        assert (await call).data == stub.sent[-1]
        behind = asyncio.create_task(room.take(1))
        await asyncio.sleep(0.05)
        assert not behind.done()  # it is kept until the picture is stored
    await behind
    await gemini.aclose()


async def test_what_the_provider_needs_after_the_wait_is_its_time_again(stub: GeminiStub) -> None:
    gemini, room = provider(stub), Room(1)
    with room.part() as other, room.part() as part:
        await other.take(1)
        endless = ImageRequest(title="湖", content="[stub:trickle]", aspect_ratio="1:1")
        call = asyncio.create_task(gemini.generate(endless, part))
        await asyncio.sleep(TIMEOUT_SECONDS)
        other.empty()
        with pytest.raises(ProviderError) as caught:
            await asyncio.wait_for(call, 60)
        assert caught.value.reason == "timeout"
    await gemini.aclose()


async def test_giving_up_the_wait_leaves_no_connection_and_no_room_behind(stub: GeminiStub) -> None:
    gemini, room = provider(stub), Room(1)
    with room.part() as other:
        await other.take(1)
        for _ in range(3):
            with room.part() as part, pytest.raises(TimeoutError):
                await asyncio.wait_for(gemini.generate(ASKED, part), 0.3)
    with room.part() as part:
        assert (await gemini.generate(ASKED, part)).data == stub.sent[-1]
    await asyncio.wait_for(room.take(1), 60)
    await gemini.aclose()


async def test_more_calls_at_once_than_a_pool_would_take_and_few_connections_kept(
    stub: GeminiStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[OneEach] = []
    begin = OneEach.__init__

    def remember(self: OneEach) -> None:
        begin(self)
        made.append(self)

    monkeypatch.setattr(OneEach, "__init__", remember)
    gemini = provider(stub, timeout_seconds=60)
    slow = ImageRequest(title="湖", content="[stub:delay:500]", aspect_ratio="1:1")
    count = IDLE_MAX + 50
    drawn = await asyncio.gather(*(gemini.generate(slow) for _ in range(count)))
    assert len(drawn) == count
    (transport,) = made
    assert len(transport._idle) == IDLE_MAX
    await gemini.aclose()
    assert not transport._idle


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
async def test_a_proxy_of_the_environment_is_spoken_to(
    stub: GeminiStub, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, stub.base_url)
    monkeypatch.setenv("no_proxy", "")
    gemini = GeminiProvider(
        api_key="key", model="gemini-image", base_url="http://gemini.invalid", timeout_seconds=20
    )
    assert (await gemini.generate(ASKED)).data == stub.sent[-1]
    await gemini.aclose()
