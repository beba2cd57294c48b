"""What can be asked of an account. Ids come in with the command; time does not."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec

from ledger.facts import (
    Attempt,
    FailureReason,
    ImageRecord,
    PromptVersion,
    StoredReference,
)


class OpenAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Open the account with `tokens` as its welcome (0 for none)."""

    account_id: str
    is_member: bool
    tokens: int


class ChangeMembership(msgspec.Struct, frozen=True, kw_only=True):
    """Begin or end membership; asking for what is so already changes nothing."""

    account_id: str
    is_member: bool
    note_id: UUID | None = None


class GrantTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Give tokens; one `reference` is granted once per account."""

    account_id: str
    amount: int
    reason: Literal["welcome", "purchase", "promo", "adjustment"]
    reference: str | None = None
    note_id: UUID | None = None


class RevokeTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Take back a mistaken grant, whole or not at all."""

    account_id: str
    amount: int
    note_id: UUID


class RefundGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """Give back what a generation was charged (`charged`, from its ending), once."""

    account_id: str
    generation_id: UUID
    charged: int
    note_id: UUID


class RequestGeneration(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """Hold the cost of a generation. `rate_per_minute` 0 is no limit."""

    account_id: str
    generation_id: UUID
    prompt: PromptVersion
    members_only: bool
    count: int
    aspect_ratio: str
    expected_cost: int | None = None
    reference: StoredReference | None = None
    rate_per_minute: int = 0

    @property
    def cost(self) -> int:
        """Tokens held for it: the prompt's price for each image."""
        return self.prompt.token_cost * self.count


class SettleGeneration(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """Charge the hold and name its images; the first ending wins."""

    account_id: str
    generation_id: UUID
    images: tuple[ImageRecord, ...]
    attempts: tuple[Attempt, ...] = ()


class ReleaseGeneration(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """Give the hold back without a charge; the first ending wins."""

    account_id: str
    generation_id: UUID
    reason: FailureReason
    retryable: bool
    attempts: tuple[Attempt, ...] = ()


Command = (
    OpenAccount
    | ChangeMembership
    | GrantTokens
    | RevokeTokens
    | RefundGeneration
    | RequestGeneration
    | SettleGeneration
    | ReleaseGeneration
)


class Beside(msgspec.Struct, frozen=True):
    """A statement run in the transaction that records the command's facts, or not at all.

    For what stands beside the log under an id (a note, a profile), since facts hold nothing
    personal.
    """

    statement: str
    parameters: Sequence[Any]


class Submission(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A command with who asks, and what makes asking again safe.

    `key_id` and `input_hash` stand for an idempotency key and the input it came with
    (see `ledger.identity`). `terms` is what the caller and the price were known by (see
    `ledger.terms`): where those are others by now, it raises `TermsChangedError`.
    """

    command: Command
    actor: str
    key_id: UUID | None = None
    input_hash: UUID | None = None
    terms: UUID | None = None
    beside: tuple[Beside, ...] = ()
