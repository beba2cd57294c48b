"""Answers as long as ours, for those that have no ledger to take them from."""

from datetime import UTC, datetime
from uuid import UUID

from api import seed
from api.generations.asked import GenerationBody
from api.http.cursors import Page
from api.http.schemas import Balance, Cost, Generation, GenerationUrls, Image, PromptRef
from api.prompts.handlers import Prompt
from ledger.facts import ImageRecord

IMAGES = 20
"""A page of them: as many as a list has unless another number is asked for."""

PROMPTS = Page(
    [
        Prompt(
            id=ident,
            title=text.title,
            description=text.description,
            category=text.category,
            token_cost=text.token_cost,
            members_only=text.members_only,
            locked=text.members_only,
        )
        for ident, text in seed.PROMPTS.items()
    ],
    None,
)
"""Those that a fresh install begins with."""

BALANCE = Balance(
    account_id="bench-500",
    is_member=False,
    available=99_999_000,
    held=500,
    settled=99_999_500,
    position=1_000_000,
)


def accepted(
    body: GenerationBody, ident: UUID, account_id: str, *, title: str, cost: int, available: int
) -> Generation:
    """A generation just accepted."""
    base = f"/v1/generations/{ident}"
    return Generation(
        id=ident,
        account_id=account_id,
        status="queued",
        step="validating",
        prompt=PromptRef(id=body.prompt_id, title=title),
        count=body.count,
        aspect_ratio=body.aspect_ratio,
        reference_url=None,
        cost=Cost(held=cost, charged=0),
        remaining_tokens=available,
        images=[],
        error=None,
        created_at=datetime.now(UTC),
        ended_at=None,
        position=1_000_000,
        urls=GenerationUrls(self_=base, events=f"{base}/events", cancel=f"{base}/cancel"),
    )


def image_of(record: ImageRecord, generation_id: UUID) -> Image:
    """An image in its wire form."""
    base = f"/v1/images/{record.id}"
    return Image(
        id=record.id,
        generation_id=generation_id,
        prompt=PromptRef(id="dreamy-forest", title="梦幻森林"),
        url=f"{base}/content",
        thumbnail_url=f"{base}/thumbnail",
        download_url=f"{base}/download",
        mime_type=record.mime_type,
        width=record.width,
        height=record.height,
        bytes=record.bytes,
        sha256=record.sha256,
        favorite=False,
        model=record.model,
        created_at=datetime.now(UTC),
    )
