"""Accounts as support sees them, on the wire and in `--json`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from api.credentials import Role
from api.http.schemas import Position, PromptRef
from projections.audit.balances import Standing
from projections.audit.holds import Hold, Holds
from projections.audit.lines import Line

Version = Annotated[int, msgspec.Meta(description="Place among the account's own, from 1.")]


class FoundAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account that a search has found, with its tokens now."""

    id: str
    email: str
    name: str
    role: Role
    available: int
    held: int
    settled: int
    created_at: datetime


class OpenHold(msgspec.Struct, frozen=True, kw_only=True):
    """An open generation that holds tokens; `position` is that of its request."""

    generation_id: UUID
    prompt: PromptRef
    cost: int
    requested_at: datetime
    position: Position


class BalanceThen(msgspec.Struct, frozen=True, kw_only=True):
    """The balance after the account's last event by then; its place is `position` and `version`.

    `open_holds` add up to `held`, the newest first. Where one is open for so long that it was not
    read back to, `open_holds_complete` is false; the numbers are exact all the same.
    """

    account_id: str
    is_member: bool
    available: int
    held: int
    settled: int
    position: Position
    version: Version
    at: datetime
    open_holds: list[OpenHold]
    open_holds_complete: bool


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event; `amount` and `held_change` are what it added to `settled` and `held` after it."""

    position: Position
    account_id: str
    version: Version
    type: Annotated[str, msgspec.Meta(examples=["TokensGranted"])]
    at: datetime
    actor: Annotated[str, msgspec.Meta(examples=["worker:1", "cli"])]
    amount: Annotated[int, msgspec.Meta(description="Signed.", examples=[-5])]
    held_change: Annotated[int, msgspec.Meta(description="Signed.", examples=[-5])]
    settled: int
    held: int
    available: int
    generation_id: UUID | None
    reason: str | None
    title: Annotated[str | None, msgspec.Meta(description="The prompt's, as it was asked with.")]
    note: Annotated[str | None, msgspec.Meta(description="Why; kept beside the log.")]
    data: Annotated[dict[str, Any], msgspec.Meta(description="The fact as it was recorded.")]


def balance_then(standing: Standing, holds: Holds) -> BalanceThen:
    """The wire form."""
    return BalanceThen(
        account_id=standing.account_id,
        is_member=standing.is_member,
        available=standing.available,
        held=standing.held,
        settled=standing.settled,
        position=standing.position,
        version=standing.version,
        at=standing.at,
        open_holds=open_holds(holds),
        open_holds_complete=holds.complete,
    )


def open_holds(holds: Holds) -> list[OpenHold]:
    """The wire form of those that are listed."""
    return [_open_hold(hold) for hold in holds.listed]


def timeline_event(line: Line) -> TimelineEvent:
    """The wire form."""
    return TimelineEvent(
        position=line.position,
        account_id=line.account_id,
        version=line.version,
        type=line.type,
        at=line.at,
        actor=line.actor,
        amount=line.amount,
        held_change=line.held_change,
        settled=line.settled,
        held=line.held,
        available=line.available,
        generation_id=line.generation_id,
        reason=line.reason,
        title=line.title,
        note=line.note,
        data=msgspec.json.decode(line.data),
    )


def _open_hold(hold: Hold) -> OpenHold:
    return OpenHold(
        generation_id=hold.generation_id,
        prompt=PromptRef(id=hold.prompt_id, title=hold.title),
        cost=hold.cost,
        requested_at=hold.requested_at,
        position=hold.position,
    )
