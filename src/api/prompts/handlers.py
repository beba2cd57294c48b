"""What can be drawn: everyone lists prompts, admins keep them."""

from typing import Annotated, Any

import msgspec
from litestar import Response, delete, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.http.auth import current, requires
from api.http.bodies import StrictRequest
from api.http.cursors import LIMIT_DEFAULT, CursorParameter, LimitParameter, Listing, Page
from api.http.ids import NO_NUL, ONE_LINE, QUERY_CHARACTERS_MAX, PromptId, is_id
from api.http.often import Answer, OftenAsked
from api.http.principals import Principal
from api.openapi.documented import refusals
from api.problems.refusals import ConflictError, NotFoundError
from api.prompts import store as prompt_store
from api.prompts.shown import Asked
from api.prompts.store import PromptPage, PromptRow, PromptText
from api.services import Services
from api.texts.i18n import msg
from ledger.identity import new_id

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=ONE_LINE)]
Content = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=8000, pattern=NO_NUL, description="What the provider is sent."
    ),
]
Description = Annotated[str, msgspec.Meta(max_length=500, pattern=NO_NUL)]
Category = Annotated[str, msgspec.Meta(max_length=50, pattern=ONE_LINE)]
TokenCost = Annotated[int, msgspec.Meta(ge=0, le=1_000_000, description="Tokens for one image.")]


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt. `locked` is true when this caller may not use it; `content` is for admins."""

    id: str
    title: str
    description: str
    category: str
    token_cost: int
    members_only: bool
    locked: bool
    content: str | msgspec.UnsetType = msgspec.UNSET
    version: int | msgspec.UnsetType = msgspec.UNSET


class NewPrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prompt to be; without an `id` it gets one."""

    id: PromptId | None = None
    title: Title
    content: Content
    description: Description = ""
    category: Category = ""
    members_only: bool = False
    token_cost: TokenCost = 10


class PromptChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given becomes a new version; generations keep the one they were asked with."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    content: Content | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType = msgspec.UNSET
    category: Category | msgspec.UnsetType = msgspec.UNSET
    members_only: bool | msgspec.UnsetType = msgspec.UNSET
    token_cost: TokenCost | msgspec.UnsetType = msgspec.UNSET


QueryText = Annotated[
    str | None,
    QueryParameter(max_length=QUERY_CHARACTERS_MAX, pattern=NO_NUL, description="Part of."),
]


@OftenAsked(http_method="GET", summary="Prompts", responses=refusals("INVALID_INPUT"))
async def list_all(
    *,
    request: StrictRequest,
    category: QueryText = None,
    q: QueryText = None,
    cursor: CursorParameter = None,
    limit: LimitParameter = LIMIT_DEFAULT,
) -> Response[Page[Prompt]]:
    """Newest first; `q` is a part of the title or the description."""
    listing = Listing("prompts", category=category, q=q)
    (before,) = listing.places(cursor, tuple[int]) or (None,)
    caller = current(request)
    page = PromptPage(category, q, before, limit + 1)
    rows, is_member = await request.services.prompts.get(Asked(page, caller.account_id))
    return Answer(
        listing.page(
            rows,
            limit,
            lambda row: _prompt(row, caller, is_member=is_member),
            lambda row: (row.ordinal,),
        )
    )


@post(
    guards=[requires("admin")],
    summary="Make a prompt",
    responses=refusals("INVALID_INPUT", "CONFLICT"),
)
async def create(
    data: JSONBody[NewPrompt],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
) -> Prompt:
    """Shown at once."""
    prompt_id = data.id or str(new_id())
    text = PromptText(
        title=data.title,
        content=data.content,
        description=data.description,
        category=data.category,
        members_only=data.members_only,
        token_cost=data.token_cost,
    )
    created = await services.threads.query(prompt_store.create, prompt_id, text, caller.actor)
    if not created:
        raise ConflictError(msg("A prompt with this id exists already."))
    return await _get(services, caller, prompt_id)


@patch(
    "/{prompt_id:str}",
    guards=[requires("admin")],
    summary="Change",
    responses=refusals("INVALID_INPUT", "NOT_FOUND"),
)
async def change(
    data: JSONBody[PromptChange],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    prompt_id: FromPath[str],
) -> Prompt:
    """A new version; open and past generations keep theirs."""
    given: dict[str, Any] = {
        name: value
        for name, value in msgspec.structs.asdict(data).items()
        if value is not msgspec.UNSET
    }
    if not is_id(prompt_id) or not await services.threads.query(
        prompt_store.change, prompt_id, given, caller.actor
    ):
        raise NotFoundError
    return await _get(services, caller, prompt_id)


@delete(
    "/{prompt_id:str}", guards=[requires("admin")], summary="Hide", responses=refusals("NOT_FOUND")
)
async def hide(services: NamedDependency[Services], prompt_id: FromPath[str]) -> None:
    """Gone for everyone who asks; its versions stay for what was asked with them."""
    if not is_id(prompt_id) or not await services.threads.query(prompt_store.hide, prompt_id):
        raise NotFoundError


async def _get(services: Services, caller: Principal, prompt_id: str) -> Prompt:
    row = await services.threads.query(prompt_store.latest, prompt_id)
    if row is None:
        raise NotFoundError
    return _prompt(row, caller, is_member=False)


def _prompt(row: PromptRow, caller: Principal, *, is_member: bool) -> Prompt:
    is_admin = caller.may("admin")
    return Prompt(
        id=row.id,
        title=row.title,
        description=row.description,
        category=row.category,
        token_cost=row.token_cost,
        members_only=row.members_only,
        locked=caller.account_id is None or (row.members_only and not is_member),
        content=row.content if is_admin else msgspec.UNSET,
        version=row.version if is_admin else msgspec.UNSET,
    )
