"""A provider without a network: it draws real pictures, and fails when it is told to."""

import asyncio
import io
import re
import secrets
from collections.abc import Mapping
from types import MappingProxyType

from PIL import Image

from generation import drawing, pictures
from generation.provider import ImageRequest, ProviderError, ProviderImage, Reference
from generation.room import Part
from ledger.facts import FailureReason

MODEL = "mock-image-1"
DELAY_MS_MAX = 600_000
IMAGE_TOKENS = 1290
"""What Gemini counts for a picture of this size."""
RETRY_AFTER_SECONDS = 1.0
DRAWN_BYTES = 1_000_000
"""More than a drawing has."""

_FAIL = re.compile(r"\[mock:fail:([a-z_]{1,40})\]")
_DELAY = re.compile(r"\[mock:delay:(\d{1,9})\]")
_FAILURES: Mapping[str, tuple[FailureReason, bool]] = MappingProxyType(
    {
        "blocked": ("blocked", False),
        "no_image": ("no_image", False),
        "timeout": ("timeout", True),
        "rate_limited": ("rate_limited", True),
        "provider_unavailable": ("provider_unavailable", True),
        "invalid_response": ("invalid_response", True),
    }
)


class MockProvider:
    """`Provider` that thinks for `delay_ms`, then draws the title in the asked aspect ratio.

    A title or content with `[mock:fail:<reason>]` fails with that reason after the delay;
    `[mock:delay:<ms>]` changes the delay of one call. No two calls give the same bytes.
    """

    name = "mock"

    def __init__(self, *, delay_ms: int) -> None:
        """`delay_ms` is 0 to `DELAY_MS_MAX`, else `ValueError`."""
        if not 0 <= delay_ms <= DELAY_MS_MAX:
            raise ValueError(f"the mock's delay is 0 to {DELAY_MS_MAX} ms, not {delay_ms}")
        self._delay_ms = delay_ms

    async def generate(self, request: ImageRequest, part: Part | None = None) -> ProviderImage:
        """Wait, then draw in a thread."""
        told = f"{request.title}\n{request.content}"
        delay = _DELAY.search(told)
        delay_ms = min(int(delay[1]), DELAY_MS_MAX) if delay else self._delay_ms
        await asyncio.sleep(delay_ms / 1000)
        if failure := _FAIL.search(told):
            raise _failure(failure[1])
        if request.aspect_ratio not in drawing.SIZES:
            raise ProviderError(
                "invalid_response", retryable=False, message="the mock knows no such aspect ratio"
            )
        if part is not None:
            await part.take(DRAWN_BYTES)
        response_id = f"mock-{secrets.token_hex(12)}"
        data = await asyncio.to_thread(_draw, request, response_id)
        prompt_tokens = len(request.content) // 2 + (IMAGE_TOKENS if request.reference else 0)
        return ProviderImage(
            data=data,
            model=MODEL,
            response_id=response_id,
            usage={
                "prompt_tokens": prompt_tokens,
                "candidates_tokens": IMAGE_TOKENS,
                "total_tokens": prompt_tokens + IMAGE_TOKENS,
            },
        )

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


def _failure(name: str) -> ProviderError:
    # A misspelt order fails too: a demo that quietly succeeds would show the wrong thing.
    reason, retryable = _FAILURES.get(name, ("invalid_response", False))
    return ProviderError(
        reason,
        retryable=retryable,
        message=f"the prompt told the mock to fail: {name}",
        retry_after_seconds=RETRY_AFTER_SECONDS if reason == "rate_limited" else None,
    )


def _draw(request: ImageRequest, response_id: str) -> bytes:
    return drawing.draw(
        title=request.title,
        content=request.content,
        aspect_ratio=request.aspect_ratio,
        reference=None if request.reference is None else _read(request.reference),
        variation=response_id,
    )


def _read(reference: Reference) -> Image.Image:
    try:
        small = pictures.thumbnail(reference.data)
    except pictures.UnsupportedPictureError as error:
        raise ProviderError(
            "invalid_response", retryable=False, message=f"the reference is {error}"
        ) from error
    with Image.open(io.BytesIO(small), formats=("WEBP",)) as image:
        return image.convert("RGB")
