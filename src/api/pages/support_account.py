"""Support's page of one account: its numbers and its history, now or as they were."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from api.audit.recording import recorded
from api.audit.words import what_happened
from api.http.cursors import CursorParameter, Listing
from api.http.principals import Principal
from api.http.times import TIME_CHARACTERS_MAX
from api.pages.clock import Clock
from api.pages.desk import Desk, lay_out
from api.pages.places import address
from api.pages.rendering import page
from api.pages.texts import LIST_TEXTS
from api.pages.viewer import Viewer
from api.problems.refusals import FieldProblem, InvalidInputError
from api.services import Services
from api.texts.i18n import msg
from projections.errors import AfterLogError, BeforeAccountError

PAGE = 30
_VERSION_MAX = 2**63 - 2


@get("/support/accounts/{account_id:str}", include_in_schema=False)
async def show(
    *,
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    viewer: NamedDependency[Viewer],
    clock: NamedDependency[Clock],
    account_id: FromPath[str],
    at: Annotated[str | None, QueryParameter(max_length=TIME_CHARACTERS_MAX)] = None,
    event: Annotated[int | None, QueryParameter(ge=1, le=_VERSION_MAX)] = None,
    cursor: CursorParameter = None,
) -> Template:
    """As of a date by the reader's clock, or of one of its events; a date counts before those.

    A moment that there is not is said beside its field, over the account as it is now.
    """
    listing = Listing("timeline", account=account_id, at=at, event=event)
    (before,) = listing.places(cursor, tuple[int]) or (None,)
    wrong: Exception | None = None
    time = None
    try:
        time = clock.read(at, "at") if at else None
    except InvalidInputError as error:
        wrong = error
    await recorded(services, caller, "account", account_id=account_id)
    await recorded(services, caller, "timeline", account_id=account_id, cursor=cursor, limit=PAGE)
    if time is not None:
        await recorded(services, caller, "balance", account_id=account_id, at=time)
    elif event is not None:
        await recorded(services, caller, "balance", account_id=account_id, version=event)

    async def look(at: datetime | None, event: int | None) -> Desk:
        return await services.threads.audit(
            lay_out, account_id, at=at, event=event, before=before, limit=PAGE
        )

    try:
        desk = await look(time, event)
    except (BeforeAccountError, AfterLogError) as error:
        wrong, time, event = error, None, None
        desk = await look(None, None)
    moment = {"at": at or ""} if time else {"event": str(event)} if event else {}
    more = moment | {"cursor": listing.cursor(desk.end)} if desk.end else None
    here = f"/support/accounts/{account_id}"
    return page(
        request,
        services,
        "support_account.html",
        viewer,
        script_texts=LIST_TEXTS,
        clock=clock,
        reader=caller.actor,
        account_id=account_id,
        desk=desk,
        at=at or "",
        wrong=_words(wrong, clock) if wrong else None,
        what=lambda each: what_happened(each).text(clock.locale),
        is_later=cursor is not None,
        may_change=caller.may("admin") and not desk.is_past,
        account_url=here,
        newest_url=address(here, moment),
        more_url=address(here, more) if more else None,
    )


def _words(error: Exception, clock: Clock) -> str:
    match error:
        case BeforeAccountError():
            message = msg("The account was opened later: {time}.", time=clock.exact(error.at))
        case AfterLogError():
            message = msg("Lies in the future.")
        case InvalidInputError(fields=(FieldProblem(message=message),)):
            pass
        case _:
            raise error
    return message.text(clock.locale)
