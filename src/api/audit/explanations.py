"""`GET /v1/audit/accounts/{id}/explanation`: why a balance is what it is."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.audit.asking import AtParameter, Moment, PositionParameter, moment
from api.audit.documents import OpenHold, TimelineEvent, Version, open_holds, timeline_event
from api.audit.recording import recorded
from api.audit.words import explanation_lines
from api.connection import Connection
from api.http.ids import is_id
from api.http.principals import Principal
from api.http.schemas import Position
from api.openapi.documented import refusals
from api.problems.refusals import NotFoundError
from api.services import Services
from api.texts.i18n import Locale
from api.texts.plain import one_line
from projections.audit.explain import Explanation, explain
from projections.audit.types import type_of


class EventTotal(msgspec.Struct, frozen=True, kw_only=True):
    """How often a type of event stands there, by its reason, and the tokens that it named."""

    type: Annotated[str, msgspec.Meta(examples=["TokensGranted"])]
    reason: Annotated[str | None, msgspec.Meta(examples=["welcome"])]
    count: int
    amount: int


class ExplanationDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The balance, and what it follows from: `totals` lead to it, `open_holds` to what is held.

    `lines` say it in the language of `Accept-Language`; `text` is all of them. Where `adds_up` is
    false, the log does not lead to the balance that it carries, and `mintage verify` tells where.
    """

    account_id: str
    is_member: bool
    available: int
    held: int
    settled: int
    position: Position
    version: Version
    at: datetime
    opened_at: datetime
    adds_up: bool
    totals: list[EventTotal]
    open_holds: list[OpenHold]
    open_holds_complete: bool
    movements: Annotated[
        list[TimelineEvent],
        msgspec.Meta(description="The last ten that gave, took or released tokens, newest first."),
    ]
    lines: list[str]
    text: str


@get(
    "/accounts/{account_id:str}/explanation",
    summary="Why a balance is what it is",
    responses=refusals("INVALID_INPUT", "NOT_FOUND"),
)
async def explanation(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    locale: NamedDependency[Locale],
    account_id: FromPath[str],
    at: AtParameter = None,
    position: PositionParameter = None,
) -> ExplanationDocument:
    """From the first grant on, in words that can be pasted. Now, unless a moment is given.

    Added up from every event of the account, so it takes longer for one that has many.
    """
    then = moment(at, position)
    await recorded(services, caller, "explanation", account_id=account_id, **then)
    told = await services.threads.audit(explained, account_id, then)
    return explanation_document(told, locale)


def explained(connection: Connection, account_id: str, then: Moment) -> Explanation:
    """The explanation. Raises `NotFoundError` and what `standing_at` does."""
    if not is_id(account_id):
        raise NotFoundError
    return explain(connection, account_id, **then)


def explanation_document(told: Explanation, locale: Locale) -> ExplanationDocument:
    """The wire form, with the words."""
    standing = told.standing
    lines = [one_line(line) for line in explanation_lines(told, locale)]
    return ExplanationDocument(
        account_id=standing.account_id,
        is_member=standing.is_member,
        available=standing.available,
        held=standing.held,
        settled=standing.settled,
        position=standing.position,
        version=standing.version,
        at=standing.at,
        opened_at=told.opened_at,
        adds_up=told.adds_up,
        totals=[
            EventTotal(
                type=type_of(total.type),
                reason=total.reason or None,
                count=total.count,
                amount=total.amount,
            )
            for total in told.totals.each
        ],
        open_holds=open_holds(told.holds),
        open_holds_complete=told.holds.complete,
        movements=[timeline_event(line) for line in told.movements],
        lines=lines,
        text="\n".join(lines),
    )
