"""An account's balance as it was, and its timeline."""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.audit.asking import AtParameter, Moment, PositionParameter, moment
from api.audit.documents import BalanceThen, TimelineEvent, balance_then, timeline_event
from api.audit.recording import recorded
from api.connection import Connection
from api.http.cursors import (
    LIMIT_DEFAULT,
    CursorParameter,
    LimitParameter,
    Listing,
    Page,
    not_of_this_list,
)
from api.http.ids import is_id
from api.http.principals import Principal
from api.openapi.documented import refusals
from api.problems.refusals import NotFoundError
from api.services import Services
from projections.audit.balances import standing_at
from projections.audit.holds import holds_at
from projections.audit.lines import Line
from projections.audit.timeline import timeline

FIRST_PLACE = 2
"""The first version that has another before it, and so the least that a page can end at."""


@get(
    "/accounts/{account_id:str}/balance",
    summary="A balance as it was",
    responses=refusals("INVALID_INPUT", "NOT_FOUND"),
)
async def balance(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    account_id: FromPath[str],
    at: AtParameter = None,
    position: PositionParameter = None,
) -> BalanceThen:
    """As of `at` or of `position`: one of the two. Open holds included, from the log itself.

    A time before the account was opened, or in the future, is refused, and so is a position before
    its first event or beyond the log's end. An event stamped within the last seconds may still be
    on its way; what is older is answered the same for ever.
    """
    then = moment(at, position, required=True)
    await recorded(services, caller, "balance", account_id=account_id, **then)
    return await services.threads.query(balance_document, account_id, then)


@get(
    "/accounts/{account_id:str}/timeline",
    summary="An account's events, with running numbers",
    responses=refusals("INVALID_INPUT", "NOT_FOUND"),
)
async def list_timeline(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    account_id: FromPath[str],
    cursor: CursorParameter = None,
    limit: LimitParameter = LIMIT_DEFAULT,
) -> Page[TimelineEvent]:
    """Newest first; `settled`, `held` and `available` are after each."""
    listing = Listing("timeline", account=account_id)
    (before,) = listing.places(cursor, tuple[int]) or (None,)
    if before is not None and before < FIRST_PLACE:
        raise not_of_this_list()
    await recorded(services, caller, "timeline", account_id=account_id, cursor=cursor, limit=limit)
    lines = await services.threads.query(timeline_lines, account_id, before=before, limit=limit + 1)
    return listing.page(lines, limit, timeline_event, lambda line: (line.version,))


def balance_document(connection: Connection, account_id: str, then: Moment) -> BalanceThen:
    """The balance as of then. Raises `NotFoundError` and what `standing_at` does."""
    if not is_id(account_id):
        raise NotFoundError
    standing = standing_at(connection, account_id, **then)
    return balance_then(standing, holds_at(connection, standing))


def timeline_lines(
    connection: Connection, account_id: str, *, before: int | None = None, limit: int
) -> list[Line]:
    """A page of the timeline. Raises `NotFoundError`."""
    lines = (
        timeline(connection, account_id, before=before, limit=limit) if is_id(account_id) else []
    )
    if not lines:  # every account has a first event, and no page ends at that
        raise NotFoundError
    return lines
