"""Generations and images in their wire form, from the log or from the views."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec

from api.http.schemas import (
    AspectRatio,
    Cost,
    Generation,
    GenerationError,
    GenerationUrls,
    Image,
    PromptRef,
    StepName,
)
from api.texts.i18n import Locale
from api.texts.wording import FAILURES
from generation.leases import Step
from ledger.entry import Entry
from ledger.facts import (
    FailureReason,
    GenerationFailed,
    GenerationRequested,
    ImageRecord,
    TokensConsumed,
)
from projections.images import ImageRow
from projections.reads import GenerationRow, Status


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A generation as the log has it. `step` is the worker's, None until one has claimed it."""

    request: Entry
    ending: Entry | None = None
    step: Step | None = None
    available: int
    favorites: Collection[UUID] = ()

    @property
    def asked(self) -> GenerationRequested:
        """The request itself."""
        assert isinstance(self.request.fact, GenerationRequested)
        return self.request.fact

    @property
    def reason(self) -> FailureReason | None:
        """Why it failed, if it did."""
        ending = self.ending.fact if self.ending else None
        return ending.reason if isinstance(ending, GenerationFailed) else None

    @property
    def status(self) -> Status:
        """The one word for all of it."""
        if self.ending is None:
            return "processing" if self.step else "queued"
        return status_of_ending(self.reason)


def generation_of(seen: Seen, locale: Locale) -> Generation:
    """The wire form of what the log says."""
    asked, ending, status = seen.asked, seen.ending, seen.status
    images: list[Image] = []
    error = None
    prompt = PromptRef(id=asked.prompt.id, title=asked.prompt.title)
    if ending and isinstance(ending.fact, TokensConsumed):
        images = [
            _image(
                record, asked.generation_id, prompt, ending.at, favorite=record.id in seen.favorites
            )
            for record in ending.fact.images
        ]
    elif ending and isinstance(ending.fact, GenerationFailed):
        error = _error(ending.fact.reason, locale, retryable=ending.fact.retryable)
    return Generation(
        id=asked.generation_id,
        account_id=seen.request.account_id,
        status=status,
        step=_step(status, seen.step),
        prompt=prompt,
        count=asked.count,
        aspect_ratio=cast("AspectRatio", asked.aspect_ratio),
        reference_url=_reference_url(asked.generation_id) if asked.reference else None,
        cost=_cost(asked.cost, status),
        remaining_tokens=seen.available,
        images=images,
        error=error,
        created_at=seen.request.at,
        ended_at=ending.at if ending else None,
        position=ending.position if ending else seen.request.position,
        urls=_urls(asked.generation_id),
    )


def generation_of_row(
    row: GenerationRow,
    images: Sequence[ImageRow],
    step: Step | None,
    available: int,
    locale: Locale,
) -> Generation:
    """The wire form of what the views say."""
    status: Status = row.outcome or ("processing" if step else "queued")
    error = None
    if row.reason is not None:
        reason = msgspec.convert(row.reason, FailureReason)
        error = _error(reason, locale, retryable=bool(row.retryable))
    return Generation(
        id=row.id,
        account_id=row.account_id,
        status=status,
        step=_step(status, step),
        prompt=PromptRef(id=row.prompt_id, title=row.title),
        count=row.count,
        aspect_ratio=cast("AspectRatio", row.aspect_ratio),
        reference_url=_reference_url(row.id) if row.reference else None,
        cost=_cost(row.cost, status),
        remaining_tokens=available,
        images=[image_of_row(image) for image in images],
        error=error,
        created_at=row.created_at,
        ended_at=row.ended_at,
        position=row.end_position or row.position,
        urls=_urls(row.id),
    )


def image_of_row(row: ImageRow) -> Image:
    """The wire form of an image in the view."""
    charge = row.charge
    prompt = PromptRef(id=charge.prompt_id, title=charge.title)
    return _image(row.record, charge.generation_id, prompt, charge.at, favorite=row.favorite)


def status_of_ending(reason: FailureReason | None) -> Status:
    """What an ended generation is called."""
    match reason:
        case None:
            return "succeeded"
        case "canceled":
            return "canceled"
        case _:
            return "failed"


def _image(
    record: ImageRecord, generation_id: UUID, prompt: PromptRef, at: datetime, *, favorite: bool
) -> Image:
    base = f"/v1/images/{msgspec.to_builtins(record.id)}"
    return Image(
        id=record.id,
        generation_id=generation_id,
        prompt=prompt,
        url=f"{base}/content",
        thumbnail_url=f"{base}/thumbnail",
        download_url=f"{base}/download",
        mime_type=record.mime_type,
        width=record.width,
        height=record.height,
        bytes=record.bytes,
        sha256=record.sha256,
        favorite=favorite,
        model=record.model,
        created_at=at,
    )


def _error(reason: FailureReason, locale: Locale, *, retryable: bool) -> GenerationError:
    message = FAILURES[reason].text(locale)
    return GenerationError(reason=reason, retryable=retryable, message=message)


def _step(status: Status, step: Step | None) -> StepName:
    match status:
        case "succeeded":
            return "completed"
        case "failed" | "canceled":
            return "error"
        case _:
            return step or "validating"


def _cost(cost: int, status: Status) -> Cost:
    is_open = status in {"queued", "processing"}
    return Cost(held=cost if is_open else 0, charged=cost if status == "succeeded" else 0)


def _urls(generation_id: UUID) -> GenerationUrls:
    # `to_builtins` is four times as fast as str().
    base = f"/v1/generations/{msgspec.to_builtins(generation_id)}"
    return GenerationUrls(self_=base, events=f"{base}/events", cancel=f"{base}/cancel")


def _reference_url(generation_id: UUID) -> str:
    return f"/v1/generations/{generation_id}/reference"
