"""Asking for generations, and looking at them."""

from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect

from api.generations.accepted import answer_of, seen_first
from api.generations.asked import read_asked
from api.generations.before import OPERATION
from api.generations.documents import generation_of, generation_of_row
from api.generations.listing import list_alone
from api.generations.plainly import create_plainly
from api.generations.requesting import offer_for, request_generation
from api.generations.seeing import request_of, see, see_again, wait_until_ended
from api.http.auth import current
from api.http.bodies import StrictRequest
from api.http.cursors import LIMIT_DEFAULT, CursorParameter, LimitParameter, Listing, Page
from api.http.often import PLAINLY, Answer, OftenAsked
from api.http.preferences import idempotency_key, wait_seconds
from api.http.principals import Principal
from api.http.schemas import Generation, Quote
from api.openapi.documented import header, refusals
from api.openapi.operations import GenerationOperation, QuoteOperation
from api.problems.refusals import NotFoundError
from api.services import Services
from api.storing import LINK_SECONDS
from api.texts.i18n import Locale
from ledger.commands import ReleaseGeneration, Submission
from projections.pages import PageOf
from projections.reads import GenerationRow, Status


@OftenAsked(
    http_method="POST",
    opt={PLAINLY: create_plainly},
    operation_class=GenerationOperation,
    status_code=202,
    summary="Ask for images",
    response_description="Accepted, durably; not ended yet",
    response_headers=[
        header("Location", "The generation."),
        header("Idempotency-Replayed", "`true` where the key was known: nothing was held again."),
        header("Preference-Applied", "`wait=N` where the wait has seen the end."),
    ],
    responses={
        200: ResponseSpec(Generation, description="Ended", generate_examples=False),
        **refusals(
            "INSUFFICIENT_TOKENS",
            "PROMPT_NOT_FOUND",
            "MEMBERSHIP_REQUIRED",
            "INVALID_INPUT",
            "IDEMPOTENCY_KEY_REUSED",
            "PRICE_CHANGED",
            "UNSUPPORTED_IMAGE",
            "PAYLOAD_TOO_LARGE",
            "RATE_LIMITED",
        ),
    },
)
async def create(request: StrictRequest) -> Response[Generation]:
    """The cost is held durably before the answer. Images are charged together, once, or not."""
    # Not injected: that would cost more than all that is done with them here.
    services, caller = request.services, current(request)
    account_id = caller.account
    key_id = idempotency_key(request, account_id, OPERATION)
    asked = await read_asked(request, services.threads, services.settings.reference_max_bytes)
    accepted = await request_generation(services, caller, asked, key_id)
    wait = wait_seconds(request)
    if wait is None:
        seen = seen_first(accepted) or await see_again(services, accepted.entry)
    else:
        seen = await wait_until_ended(services, accepted.entry, wait, request.receive)
    return answer_of(accepted, seen, request.locale, waited=wait)


@post(
    "/quote",
    operation_class=QuoteOperation,
    status_code=200,
    summary="What it would cost",
    responses=refusals(
        "PROMPT_NOT_FOUND", "INVALID_INPUT", "UNSUPPORTED_IMAGE", "PAYLOAD_TOO_LARGE"
    ),
)
async def quote(
    request: StrictRequest,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
) -> Quote:
    """The same body as a generation's; changes nothing."""
    account_id = caller.account
    asked = await read_asked(request, services.threads, services.settings.reference_max_bytes)
    offer = await offer_for(services, asked.prompt_id)
    account = await services.threads.read(services.ledger.account, account_id)
    cost = offer.prompt.token_cost * asked.count
    return Quote(
        cost=cost,
        available=account.available,
        available_after=account.available - cost,
        affordable=cost <= account.available,
        members_only=offer.members_only,
        allowed=account.is_member or not offer.members_only,
    )


@OftenAsked(http_method="GET", summary="My generations", responses=refusals("INVALID_INPUT"))
async def list_mine(
    *,
    request: StrictRequest,
    status: Annotated[Status | None, QueryParameter(description="Only those.")] = None,
    cursor: CursorParameter = None,
    limit: LimitParameter = LIMIT_DEFAULT,
) -> Response[Page[Generation]]:
    """Newest first."""
    services, account_id, locale = request.services, current(request).account, request.locale
    listing = Listing("generations", account=account_id, status=status)
    (before,) = listing.places(cursor, tuple[int]) or (None,)

    listed = None
    if status is None:
        listed = await services.generation_pages.get(PageOf(account_id, limit + 1, before))
    if listed is None:  # nobody else waits for what may take longer
        listed = await services.threads.read_view(
            list_alone, services.pool, account_id, status=status, before=before, limit=limit + 1
        )
    rows, images, steps, available = listed

    def item(row: GenerationRow) -> Generation:
        return generation_of_row(row, images[row.id], steps.get(row.id), available, locale)

    return Answer(listing.page(rows, limit, item, lambda row: (row.position,)))


@get("/{generation_id:uuid}", summary="One generation", responses=refusals("NOT_FOUND"))
async def get_one(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    locale: NamedDependency[Locale],
    generation_id: FromPath[UUID],
) -> Generation:
    """Read from the log: never older than what was acknowledged."""
    return generation_of(await see(services, caller.account, generation_id), locale)


@post(
    "/{generation_id:uuid}/cancel",
    status_code=200,
    summary="Cancel",
    responses=refusals("NOT_FOUND"),
)
async def cancel(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    locale: NamedDependency[Locale],
    generation_id: FromPath[UUID],
) -> Generation:
    """Gives the hold back. One that has ended stays as it ended."""
    account_id = caller.account
    request = await services.threads.read(request_of, services.ledger, generation_id, account_id)
    command = ReleaseGeneration(
        account_id=account_id, generation_id=generation_id, reason="canceled", retryable=False
    )
    await services.ledger.record_async(Submission(command=command, actor=caller.actor))
    return generation_of(await see_again(services, request), locale)


@get(
    "/{generation_id:uuid}/reference",
    status_code=307,
    summary="The picture sent in",
    response_headers=[header("Location", "A link that opens for five minutes.")],
    responses=refusals("NOT_FOUND"),
)
async def reference(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    generation_id: FromPath[UUID],
) -> Redirect:
    """As it was cleaned: upright, without metadata. For the owner only."""
    seen = await see(services, caller.account, generation_id)
    stored = seen.asked.reference
    if stored is None:
        raise NotFoundError
    link = services.storage.link(
        stored.key, expires_seconds=LINK_SECONDS, mime_type=stored.mime_type
    )
    return Redirect(link, status_code=307)
