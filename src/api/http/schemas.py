"""What generations, images and balances look like on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from ledger.facts import FailureReason
from projections.reads import Status, TransactionType

StepName = Literal["validating", "generating", "storing", "completed", "error"]
AspectRatio = Literal["1:1", "3:2", "2:3", "4:3", "3:4", "16:9", "9:16"]
Position = Annotated[
    int, msgspec.Meta(description="Place in the one global order of the log.", examples=[42])
]


class PromptRef(msgspec.Struct, frozen=True, kw_only=True):
    """The prompt as it was asked for."""

    id: str
    title: str


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One image. `bytes`, `sha256` and the sides are of the provider's bytes, unchanged."""

    id: UUID
    generation_id: UUID
    prompt: PromptRef
    url: str
    thumbnail_url: Annotated[str, msgspec.Meta(description="WebP, at most 512 px a side.")]
    download_url: str
    mime_type: str
    width: int
    height: int
    bytes: int
    sha256: str
    favorite: bool
    model: str
    created_at: datetime


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens held while it is open, and charged once it has succeeded."""

    held: int
    charged: int


class GenerationError(msgspec.Struct, frozen=True, kw_only=True):
    """Why it failed; nothing was charged."""

    code: Literal["GENERATION_FAILED"] = "GENERATION_FAILED"
    reason: FailureReason
    retryable: bool
    message: Annotated[
        str, msgspec.Meta(description="For people.", examples=["生成失败：服务繁忙。未扣费。"])
    ]


class GenerationUrls(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look next."""

    self_: str = msgspec.field(name="self")
    events: str
    cancel: str


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """A generation in its current state. `remaining_tokens` is the account's available balance."""

    id: UUID
    account_id: str
    status: Status
    step: StepName
    prompt: PromptRef
    count: int
    aspect_ratio: AspectRatio
    reference_url: Annotated[
        str | None, msgspec.Meta(description="The picture sent in; opens for its owner only.")
    ]
    cost: Cost
    remaining_tokens: int
    images: list[Image]
    error: GenerationError | None
    created_at: datetime
    ended_at: datetime | None
    position: Position
    urls: GenerationUrls


class StepEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`data` of an `event: step`."""

    step: StepName
    status: Status
    message: str


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a generation would cost; `allowed` is about membership, `affordable` about tokens."""

    cost: int
    available: int
    available_after: Annotated[
        int, msgspec.Meta(description="`available` − `cost`; below 0 it is what is missing.")
    ]
    affordable: bool
    members_only: bool
    allowed: bool


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """Read at one position: `available` = `settled` − `held`."""

    account_id: str
    is_member: bool
    available: int
    held: int
    settled: int
    position: Position


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """The caller. A support or admin key may have no account: the ids are null, the numbers 0."""

    account_id: str | None
    is_member: bool
    available: int
    held: int
    settled: int
    position: Position
    email: str | None
    name: str
    role: Literal["user", "support", "admin"]


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the statement."""

    id: UUID
    type: TransactionType
    amount: Annotated[int, msgspec.Meta(description="Signed.", examples=[-5])]
    balance: Annotated[int, msgspec.Meta(description="The settled balance after it.")]
    status: Literal["completed"] = "completed"
    description: Annotated[str, msgspec.Meta(examples=["生成图片：梦幻森林"])]
    generation_id: UUID | None
    created_at: datetime
    position: Position


class Change(Transaction, frozen=True, kw_only=True):
    """A grant, revocation or refund as it was recorded, with the account's numbers after it."""

    account_id: str
    available: int
    held: int
    settled: int
