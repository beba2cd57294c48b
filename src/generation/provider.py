"""The provider port: what the worker asks of whoever draws the pictures."""

from typing import Protocol

import msgspec

from generation.room import Part
from ledger.facts import FailureReason


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A checked reference picture, as it is sent to the provider."""

    data: bytes
    mime_type: str


class ImageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One image to draw. `title` is for people, `content` is what the provider is sent."""

    title: str
    content: str
    aspect_ratio: str
    reference: Reference | None = None


class ProviderImage(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's bytes, unchanged, with what it said of itself; `usage` counts its tokens."""

    data: bytes
    model: str
    response_id: str | None = None
    usage: dict[str, int] = {}


class ProviderError(Exception):
    """One call failed. `retryable` says whether another call may succeed; never holds a key."""

    def __init__(
        self,
        reason: FailureReason,
        *,
        retryable: bool,
        message: str,
        retry_after_seconds: float | None = None,
    ) -> None:
        """`message` is for the log and support, in one line, without bodies or secrets."""
        super().__init__(message)
        self.reason: FailureReason = reason
        self.retryable = retryable
        self.message = message
        self.retry_after_seconds = retry_after_seconds


class Provider(Protocol):
    """Draws one image a call. Implementations raise `ProviderError` and nothing else."""

    name: str

    async def generate(self, request: ImageRequest, part: Part | None = None) -> ProviderImage:
        """Draw one image; bounded in time and in bytes. Makes one attempt: retries are ours.

        What the answer takes in memory is taken of `part`, if there is one, before it is there.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections; safe to call twice."""
        ...
