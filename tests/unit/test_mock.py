"""The mock provider: real pictures with real glyphs, and failures on order."""

import asyncio
import io
import time
from typing import get_args

import pytest
from PIL import Image, ImageChops, ImageFont

from generation import drawing
from generation.mock import DELAY_MS_MAX, MODEL, MockProvider
from generation.pictures import inspect
from generation.provider import (
    ImageRequest,
    Provider,
    ProviderError,
    ProviderImage,
    Reference,
)
from ledger.facts import FailureReason

pytestmark = pytest.mark.anyio
SEED_TITLES = (
    "梦幻森林未来城市宁静海滩山峰日出星空夜景樱花之春赛博朋克街道魔法城堡水下世界",
    "Neon street, dawn 2026 – “été”",
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def request(title: str = "梦幻森林", content: str = "a forest", **rest: str) -> ImageRequest:
    return ImageRequest(
        title=title, content=content, **{"aspect_ratio": "1:1", **rest}  # type: ignore[arg-type]
    )  # fmt: skip


async def generate(asked: ImageRequest) -> ProviderImage:
    provider: Provider = MockProvider(delay_ms=0)
    try:
        return await provider.generate(asked)
    finally:
        await provider.aclose()
        await provider.aclose()


def reference(colour: str) -> Reference:
    out = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(out, "PNG")
    return Reference(data=out.getvalue(), mime_type="image/png")


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ("1:1", (1024, 1024)),
        ("3:2", (1248, 832)),
        ("2:3", (832, 1248)),
        ("4:3", (1184, 864)),
        ("3:4", (864, 1184)),
        ("16:9", (1344, 768)),
        ("9:16", (768, 1344)),
    ],
)
async def test_it_draws_a_png_of_the_asked_shape(ratio: str, size: tuple[int, int]) -> None:
    made = await generate(request(aspect_ratio=ratio))
    found = inspect(made.data)
    assert (found.mime_type, found.width, found.height) == ("image/png", *size)
    assert made.model == MODEL
    assert made.response_id
    assert made.usage["total_tokens"] == (
        made.usage["prompt_tokens"] + made.usage["candidates_tokens"]
    )


async def test_the_title_is_in_the_file_and_in_the_picture() -> None:
    made = await generate(request(title="赛博朋克街道"))
    with Image.open(io.BytesIO(made.data)) as image:
        image.load()
        assert image.info["Title"] == "赛博朋克街道"
    arguments = {"content": "x", "aspect_ratio": "1:1", "reference": None, "variation": "v"}
    titled, other = (
        Image.open(io.BytesIO(drawing.draw(title=title, **arguments)))  # type: ignore[arg-type]
        for title in ("梦幻森林", "魔法城堡")
    )
    changed = ImageChops.difference(titled, other).getbbox()
    assert changed is not None
    left, top, right, bottom = changed
    assert left < 100
    assert top > 700  # the letters, and nothing else
    assert (right - left) > 300
    assert (bottom - top) > 60


@pytest.mark.parametrize("title", SEED_TITLES)
def test_every_character_has_a_glyph_of_its_own(title: str) -> None:
    font = ImageFont.truetype(drawing._FONT, 40)
    missing = bytes(font.getmask("\ue000"))
    assert any(missing)
    drawn = {c: bytes(font.getmask(c)) for c in title if c != " "}
    assert missing not in drawn.values()
    assert all(any(mask) for mask in drawn.values())
    assert len(set(drawn.values())) == len(drawn)


@pytest.mark.parametrize(
    "title", ["", " ", "x" * 500, "梦" * 500, "a\x00b\n\u202ec", "🦊龘", "\ud800"]
)
async def test_any_title_draws(title: str) -> None:
    assert inspect((await generate(request(title=title))).data).width == 1024


async def test_no_two_calls_give_the_same() -> None:
    one, other = [await generate(request()) for _ in range(2)]
    assert one.data != other.data
    assert one.response_id != other.response_id


def test_the_reference_is_seen_in_the_picture() -> None:
    def corner(picture: Image.Image | None) -> tuple[int, ...]:
        data = drawing.draw(
            title="", content="x", aspect_ratio="1:1", reference=picture, variation="v"
        )
        with Image.open(io.BytesIO(data)) as image:
            found = image.getpixel((150, 120))
        assert isinstance(found, tuple)
        return found

    assert corner(Image.new("RGB", (300, 200), "red")) == (255, 0, 0)
    assert corner(Image.new("RGB", (300, 200), "blue")) == (0, 0, 255)
    assert min(corner(None)) > 100


async def test_a_reference_goes_in_as_bytes_and_a_broken_one_fails_for_good() -> None:
    asked = ImageRequest(title="t", content="c", aspect_ratio="3:2", reference=reference("red"))
    with Image.open(io.BytesIO((await generate(asked)).data)) as image:
        found = image.getpixel((150, 120))
    assert isinstance(found, tuple)
    assert found[0] > 200
    assert found[1] < 40
    broken = Reference(data=b"<svg/>", mime_type="image/png")
    asked = ImageRequest(title="t", content="c", aspect_ratio="1:1", reference=broken)
    with pytest.raises(ProviderError) as caught:
        await generate(asked)
    assert (caught.value.reason, caught.value.retryable) == ("invalid_response", False)


@pytest.mark.parametrize(
    ("name", "reason", "retryable"),
    [
        ("blocked", "blocked", False),
        ("no_image", "no_image", False),
        ("timeout", "timeout", True),
        ("rate_limited", "rate_limited", True),
        ("provider_unavailable", "provider_unavailable", True),
        ("invalid_response", "invalid_response", True),
        ("misspelt", "invalid_response", False),
        ("storage_failed", "invalid_response", False),  # no provider's to give
    ],
)
@pytest.mark.parametrize("place", ["title", "content"])
async def test_it_fails_as_told(
    name: str,
    reason: FailureReason,
    retryable: bool,  # noqa: FBT001 - a table's column
    place: str,
) -> None:
    assert reason in get_args(FailureReason)
    with pytest.raises(ProviderError, match=name) as caught:
        await generate(request(**{place: f"before [mock:fail:{name}] after"}))
    assert (caught.value.reason, caught.value.retryable) == (reason, retryable)
    assert (caught.value.retry_after_seconds is not None) == (reason == "rate_limited")


async def test_an_unknown_aspect_ratio_fails_for_good() -> None:
    with pytest.raises(ProviderError) as caught:
        await generate(request(aspect_ratio="5:4"))
    assert not caught.value.retryable


async def test_the_delay_is_kept_and_may_be_told() -> None:
    slow = MockProvider(delay_ms=DELAY_MS_MAX)
    before = time.monotonic()
    with pytest.raises(ProviderError):
        await slow.generate(request(content="[mock:delay:120][mock:fail:timeout]"))
    assert 0.12 <= time.monotonic() - before < 5
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await slow.generate(request())
    for delay_ms in (-1, DELAY_MS_MAX + 1):
        with pytest.raises(ValueError, match="delay"):
            MockProvider(delay_ms=delay_ms)


async def test_the_event_loop_runs_on_while_it_draws() -> None:
    drawing_now = asyncio.gather(*(generate(request()) for _ in range(4)))
    turns = 0
    while not drawing_now.done():
        await asyncio.sleep(0.005)
        turns += 1
    await drawing_now
    assert turns > 10
