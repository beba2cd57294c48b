"""`GET /v1/audit/events`: the log, filtered; a page as JSON, or all of it as NDJSON or CSV."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.audit.asked import ACTOR_CHARACTERS_MAX, LIMIT_MAX, Asked, Order
from api.audit.exports import count_of, pieces
from api.audit.formats import Csv, Format, Ndjson
from api.audit.operations import EventsOperation
from api.audit.recording import recorded
from api.connection import Connection
from api.http.cursors import LIMIT_DEFAULT, CursorParameter
from api.http.exports import Export
from api.http.ids import NO_NUL
from api.http.negotiation import best_match
from api.http.parameters import AccountParameter
from api.http.principals import Principal
from api.http.schemas import Position
from api.openapi.documented import refusals
from api.problems.field_errors import invalid
from api.services import Services
from api.texts.i18n import msg
from ledger.log import select_head
from projections.audit.events import Event, Slice, read_slice
from projections.audit.types import EventType
from projections.audit.walks import Walk, walk

JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"

_POSITION_MAX = 2**63 - 1


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the log, as it was recorded."""

    position: Position
    account_id: str
    version: Annotated[int, msgspec.Meta(description="Place among the account's own, from 1.")]
    type: EventType | str
    at: Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
    actor: Annotated[str, msgspec.Meta(examples=["worker:1", "cli"])]
    data: dict[str, Any]


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """In the order asked for. A page may be short, even empty: the last has no `next_cursor`."""

    items: list[AuditEvent]
    next_cursor: str | None


@get(
    "/events",
    operation_class=EventsOperation,
    summary="The log, filtered",
    responses=refusals("INVALID_INPUT", "RATE_LIMITED"),
)
async def list_events(
    *,
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    account: AccountParameter = None,
    type: Annotated[EventType | None, QueryParameter(description="Only those.")] = None,  # noqa: A002 - the field's own word
    generation: Annotated[
        UUID | None, QueryParameter(description="Its request, its ending and its refund.")
    ] = None,
    actor: Annotated[
        str | None,
        QueryParameter(
            min_length=1,
            max_length=ACTOR_CHARACTERS_MAX,
            pattern=NO_NUL,
            description="Who did it: `key:…`, `worker:…`, `admin:bootstrap`, `cli`.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        QueryParameter(name="from", description="The first time that counts: RFC 3339."),
    ] = None,
    until: Annotated[
        str | None,
        QueryParameter(name="to", description="The first that does not."),
    ] = None,
    after: Annotated[
        int | None,
        QueryParameter(ge=0, le=_POSITION_MAX, description="Only positions above that one."),
    ] = None,
    before: Annotated[
        int | None,
        QueryParameter(ge=0, le=_POSITION_MAX, description="Only positions below that one."),
    ] = None,
    order: Annotated[Order, QueryParameter(description="By position.")] = "desc",
    cursor: CursorParameter = None,
    limit: Annotated[
        int | None,
        QueryParameter(
            ge=1,
            le=LIMIT_MAX,
            description="How many events; 20 unless told in a page, all of them in an export.",
        ),
    ] = None,
) -> Response[AuditPage] | Export:
    """A page as JSON; the whole answer, however large, as `application/x-ndjson` or `text/csv`.

    An export ends where the log ended when it began (`Mintage-Position`). NDJSON ends with
    `{"end": true, "count": n}`, a CSV has its number of rows in `Mintage-Count`: one with less was
    cut off. In a CSV an apostrophe stands before what a spreadsheet would run.
    """
    media_type = best_match(request, [JSON, NDJSON, CSV])
    if media_type is None:
        raise invalid("Accept", msg("Must allow one of {types}.", types=f"{JSON}, {NDJSON}, {CSV}"))
    asked = Asked(
        account=account,
        type=type,
        generation=generation,
        actor=actor,
        since=since,
        until=until,
        after=after,
        before=before,
        order=order,
        limit=limit,
    )
    asked.filter()
    if media_type != JSON and cursor is not None:
        raise invalid("cursor", msg("Is of pages only: an export is whole."))
    if media_type == JSON:
        return Response(await _page(services, caller, asked, cursor))
    return await _export(services, caller, asked, Csv() if media_type == CSV else Ndjson())


class _Seen(msgspec.Struct, frozen=True):
    account_id: str | None
    walk: Walk
    slice: Slice


async def _page(
    services: Services, caller: Principal, asked: Asked, cursor: str | None
) -> AuditPage:
    listing = asked.listing()
    (place,) = listing.places(cursor, tuple[int]) or (None,)
    limit = asked.limit or LIMIT_DEFAULT
    seen = await services.threads.audit(_look, asked, place, limit)
    await recorded(
        services,
        caller,
        "events",
        account_id=seen.account_id,
        shown={event.account_id for event in seen.slice.events},
        cursor=cursor,
        **asked.told(),
    )
    end = seen.slice.next_place
    return AuditPage(
        items=[_item(event) for event in seen.slice.events],
        next_cursor=None if end is None else listing.cursor(end),
    )


def _look(connection: Connection, asked: Asked, place: int | None, limit: int) -> _Seen:
    found = walk(connection, asked.filter())
    part = read_slice(connection, found, place=place, descending=asked.descending, limit=limit)
    return _Seen(_whose(asked, part), found, part)


async def _export(services: Services, caller: Principal, asked: Asked, form: Format) -> Export:
    is_csv = isinstance(form, Csv)
    services.exports.take(caller.actor)
    try:
        position, seen = await services.threads.export(_begin, asked)
        await recorded(
            services,
            caller,
            "events_export",
            account_id=seen.account_id,
            shown=None,
            format="csv" if is_csv else "ndjson",
            **asked.told(),
        )
        headers = {"Mintage-Position": str(position)}
        if is_csv:
            headers["Mintage-Count"] = str(await count_of(services, seen.walk, asked.limit))
            headers["Content-Disposition"] = f'attachment; filename="events-{position}.csv"'
    except BaseException:
        services.exports.give_back(caller.actor)
        raise
    return Export(
        pieces(services, seen.walk, form, descending=asked.descending, limit=asked.limit),
        slots=services.exports,
        taker=caller.actor,
        media_type=CSV if is_csv else NDJSON,
        headers=headers,
    )


def _begin(connection: Connection, asked: Asked) -> tuple[int, _Seen]:
    position = select_head(connection)
    found = walk(connection, asked.filter(), upto=position)
    part = read_slice(connection, found, limit=1)
    return position, _Seen(_whose(asked, part), found, part)


def _whose(asked: Asked, part: Slice) -> str | None:
    """The account that is looked at; also where a generation of it is asked for."""
    if asked.account is not None or asked.generation is None or not part.events:
        return asked.account
    return part.events[0].account_id


def _item(event: Event) -> AuditEvent:
    return AuditEvent(
        position=event.position,
        account_id=event.account_id,
        version=event.version,
        type=event.type,
        at=event.at,
        actor=event.actor,
        data=msgspec.json.decode(event.data),
    )
