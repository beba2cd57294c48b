"""The facts of an account's stream: what has happened, in the past tense, for ever.

Nothing personal stands in a fact (the log cannot forget): no prompt text, e-mail or note.
Each class names its own topic and version; a stored topic is never given another meaning.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Literal
from uuid import UUID

import msgspec

ACCOUNT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What an account may be called; nothing is looked up under any other name."""

AMOUNT_MAX = 1_000_000_000
"""The most tokens that one fact may move."""

BALANCE_MAX = 1_000_000_000_000
"""The most tokens that one account may own; well inside a double's exact integers."""

GrantReason = Literal["welcome", "purchase", "promo", "adjustment", "refund"]
FailureReason = Literal[
    "blocked",
    "no_image",
    "timeout",
    "rate_limited",
    "provider_unavailable",
    "invalid_response",
    "storage_failed",
    "canceled",
    "expired",
]


class PromptVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The prompt as it was asked for: later versions change neither title nor price."""

    id: str
    version: int
    title: str
    token_cost: int


class StoredReference(msgspec.Struct, frozen=True, kw_only=True):
    """Where the picture that was sent in lies, and what its stored bytes hash to."""

    key: str
    sha256: str
    mime_type: str
    bytes: int


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One image that was charged for; `bytes`, `width` and `height` are of the original."""

    id: UUID
    key: str
    thumbnail_key: str
    sha256: str
    mime_type: str
    width: int
    height: int
    bytes: int
    model: str
    response_id: str | None = None
    usage: dict[str, int] = {}


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One provider call of a generation: which image (from 0), when, and how it went.

    `lost` is a call whose worker died; `ended_at` is then when its successor noticed.
    """

    attempt: int
    image: int
    started_at: datetime
    ended_at: datetime
    outcome: Literal["ok", "lost"] | FailureReason


class AccountOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The account exists from here on."""

    TOPIC: ClassVar[str] = "account_opened:1"
    is_member: bool


class MembershipChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Membership begins or ends; past requests are untouched."""

    TOPIC: ClassVar[str] = "membership_changed:1"
    is_member: bool
    note_id: UUID | None = None


class TokensGranted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens were given. A refund names the generation whose charge it gives back."""

    TOPIC: ClassVar[str] = "tokens_granted:1"
    amount: int
    reason: GrantReason
    reference: str | None = None
    generation_id: UUID | None = None
    note_id: UUID | None = None


class TokensRevoked(msgspec.Struct, frozen=True, kw_only=True):
    """A mistaken grant was taken back; the note under `note_id` says why."""

    TOPIC: ClassVar[str] = "tokens_revoked:1"
    amount: int
    note_id: UUID


class GenerationRequested(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A generation was asked for and its cost is held."""

    TOPIC: ClassVar[str] = "generation_requested:1"
    generation_id: UUID
    prompt: PromptVersion
    count: int
    aspect_ratio: str
    cost: int
    reference: StoredReference | None = None


class TokensConsumed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The hold is settled and the images are named: the charge and they are one fact."""

    TOPIC: ClassVar[str] = "tokens_consumed:1"
    generation_id: UUID
    cost: int
    images: tuple[ImageRecord, ...]
    attempts: tuple[Attempt, ...] = ()


class GenerationFailed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The hold is released and nothing is charged; cancel and expiry are reasons."""

    TOPIC: ClassVar[str] = "generation_failed:1"
    generation_id: UUID
    cost: int
    reason: FailureReason
    retryable: bool
    attempts: tuple[Attempt, ...] = ()


Fact = (
    AccountOpened
    | MembershipChanged
    | TokensGranted
    | TokensRevoked
    | GenerationRequested
    | TokensConsumed
    | GenerationFailed
)

FACT_TYPES: Mapping[str, type[Fact]] = MappingProxyType(
    {
        kind.TOPIC: kind
        for kind in (
            AccountOpened,
            MembershipChanged,
            TokensGranted,
            TokensRevoked,
            GenerationRequested,
            TokensConsumed,
            GenerationFailed,
        )
    }
)
"""Every fact by its topic."""
