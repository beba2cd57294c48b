"""Commands and facts with everything but the point of a test filled in."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ledger.commands import (
    Beside,
    Command,
    GrantTokens,
    OpenAccount,
    ReleaseGeneration,
    RequestGeneration,
    SettleGeneration,
    Submission,
)
from ledger.facts import (
    Attempt,
    FailureReason,
    GenerationFailed,
    GenerationRequested,
    ImageRecord,
    PromptVersion,
    StoredReference,
    TokensConsumed,
)
from ledger.identity import input_hash, key_id

ACCOUNT = "ann"
FIRST = UUID("01930000-0000-7000-8000-000000000001")
SECOND = UUID("01930000-0000-7000-8000-000000000002")
NOTE = UUID("01930000-0000-7000-8000-00000000000a")
AT = datetime(2026, 1, 1, 12, 30, 15, 250_000, tzinfo=UTC)

REFERENCE = StoredReference(key="ann/in.png", sha256="0" * 64, mime_type="image/png", bytes=70)
IMAGE = ImageRecord(
    id=UUID("01930000-0000-7000-8000-0000000000aa"),
    key="ann/g/1-0-x.png",
    thumbnail_key="ann/g/1-0-x.webp",
    sha256="a" * 64,
    mime_type="image/png",
    width=1024,
    height=768,
    bytes=123_456,
    model="mock",
    response_id="r-1",
    usage={"total": 3},
)
ATTEMPT = Attempt(attempt=1, image=0, started_at=AT, ended_at=AT, outcome="timeout")


def prompt(cost: int) -> PromptVersion:
    return PromptVersion(id="forest", version=3, title="梦幻森林", token_cost=cost)


def opening(account_id: str = ACCOUNT, *, tokens: int = 0, member: bool = False) -> OpenAccount:
    return OpenAccount(account_id=account_id, is_member=member, tokens=tokens)


def grant(amount: int, account_id: str = ACCOUNT, *, reference: str | None = None) -> GrantTokens:
    return GrantTokens(account_id=account_id, amount=amount, reason="promo", reference=reference)


def request(
    cost: int, generation_id: UUID = FIRST, account_id: str = ACCOUNT, **rest: Any
) -> RequestGeneration:
    """A request for one image at `cost`, by anyone; `rest` overrides."""
    fields: dict[str, Any] = {
        "account_id": account_id,
        "generation_id": generation_id,
        "prompt": prompt(cost),
        "members_only": False,
        "count": 1,
        "aspect_ratio": "1:1",
    }
    return RequestGeneration(**fields | rest)


def settle(generation_id: UUID = FIRST, account_id: str = ACCOUNT) -> SettleGeneration:
    return SettleGeneration(account_id=account_id, generation_id=generation_id, images=(IMAGE,))


def release(
    generation_id: UUID = FIRST,
    account_id: str = ACCOUNT,
    reason: FailureReason = "canceled",
) -> ReleaseGeneration:
    return ReleaseGeneration(
        account_id=account_id, generation_id=generation_id, reason=reason, retryable=False
    )


def requested(cost: int, generation_id: UUID = FIRST, count: int = 1) -> GenerationRequested:
    return GenerationRequested(
        generation_id=generation_id,
        prompt=prompt(cost // count),
        count=count,
        aspect_ratio="1:1",
        cost=cost,
    )


def consumed(cost: int, generation_id: UUID = FIRST) -> TokensConsumed:
    return TokensConsumed(generation_id=generation_id, cost=cost, images=(IMAGE,))


def failed(
    cost: int, generation_id: UUID = FIRST, reason: FailureReason = "canceled"
) -> GenerationFailed:
    return GenerationFailed(generation_id=generation_id, cost=cost, reason=reason, retryable=False)


def keyed(
    command: Command, key: str, *, given: object = None, beside: tuple[Beside, ...] = ()
) -> Submission:
    """The command under an idempotency key; the input is `given`, or what the command says."""
    text = repr(command if given is None else given)
    return Submission(
        command=command,
        actor="key:1",
        key_id=key_id(command.account_id, type(command).__name__, key),
        input_hash=input_hash([text.encode()]),
        beside=beside,
    )


def plain(command: Command, *beside: Beside) -> Submission:
    """The command without a key."""
    return Submission(command=command, actor="test", beside=beside)
