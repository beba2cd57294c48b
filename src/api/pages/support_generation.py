"""Support's page of one generation: its story, from the request to the end and after."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from api.audit.generations import read_story
from api.audit.words import what_happened
from api.http.principals import Principal
from api.pages.clock import Clock
from api.pages.rendering import page
from api.pages.texts import LIST_TEXTS
from api.pages.viewer import Viewer
from api.services import Services
from api.texts.i18n import Message, msg
from projections.reads import Status

STATUSES: Mapping[Status, Message] = {
    "queued": msg("Waiting for a worker"),
    "processing": msg("In work"),
    "succeeded": msg("Succeeded"),
    "failed": msg("Failed"),
    "canceled": msg("Canceled"),
}


@get("/support/generations/{generation_id:uuid}", include_in_schema=False)
async def show(
    *,
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    viewer: NamedDependency[Viewer],
    clock: NamedDependency[Clock],
    generation_id: FromPath[UUID],
) -> Template:
    """Every event of it, attempts and timings."""
    story = await read_story(services, caller, generation_id)
    return page(
        request,
        services,
        "support_generation.html",
        viewer,
        script_texts=LIST_TEXTS,
        clock=clock,
        reader=caller.actor,
        story=story,
        what=lambda each: what_happened(each).text(clock.locale),
        statuses={name: text.text(clock.locale) for name, text in STATUSES.items()},
        seconds=lambda ms: f"{ms / 1000:.1f} s",
        may_refund=caller.may("admin") and story.cost.charged > story.cost.refunded,
    )
