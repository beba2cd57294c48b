"""Opening accounts and changing them: for admins."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.accounts.numbers import numbers_of
from api.accounts.store import CREATE_PROFILE, WRITE_NOTE, change_profile, profile_of
from api.audit.recording import recorded
from api.connection import Connection
from api.credentials import Role
from api.http.auth import requires
from api.http.ids import AccountId, Email, Name, Note, is_id
from api.http.principals import Principal
from api.http.schemas import Position
from api.openapi.documented import refusals
from api.problems.field_errors import invalid
from api.problems.refusals import NotFoundError
from api.services import Services
from api.texts.i18n import msg
from ledger.commands import Beside, ChangeMembership, OpenAccount, Submission
from ledger.facts import AMOUNT_MAX
from ledger.identity import new_id


class AccountDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An account: who it is, and its tokens at one position."""

    id: str
    email: str
    name: str
    role: Role
    is_member: bool
    available: int
    held: int
    settled: int
    position: Position
    created_at: datetime


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account to be; without an `id` it gets one. `tokens` are its welcome."""

    id: AccountId | None = None
    email: Email
    name: Name = ""
    is_member: bool = False
    tokens: Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)] = 100


class AccountChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed. Keys keep the role that they were made with.

    `note` says why membership begins or ends, and stands with that alone.
    """

    is_member: bool | None = None
    name: Name | None = None
    role: Role | None = None
    note: Note | None = None


@post(
    guards=[requires("admin")],
    summary="Open an account",
    responses=refusals("INVALID_INPUT", "CONFLICT"),
)
async def create(
    data: JSONBody[NewAccount],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
) -> AccountDocument:
    """One e-mail address has one account."""
    account_id = data.id or str(new_id())
    command = OpenAccount(account_id=account_id, is_member=data.is_member, tokens=data.tokens)
    profile = Beside(CREATE_PROFILE, (account_id, data.email.lower(), data.name))
    await services.ledger.record_async(
        Submission(command=command, actor=caller.actor, beside=(profile,))
    )
    return await services.threads.query(account_document, account_id)


@patch(
    "/{account_id:str}",
    guards=[requires("admin")],
    summary="Change an account",
    responses=refusals("INVALID_INPUT", "NOT_FOUND"),
)
async def change(
    data: JSONBody[AccountChange],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    account_id: FromPath[str],
) -> AccountDocument:
    """Membership is a fact of the log; name and role stand beside it.

    The answer shows the account, so it is recorded as a read. The fact comes before the profile:
    where the log is out of reach, nothing is changed.
    """
    if data.note is not None and data.is_member is None:
        raise invalid("note", msg("Stands with a change of membership only."))
    await recorded(services, caller, "account", account_id=account_id)
    if not is_id(account_id):
        raise NotFoundError
    if data.is_member is not None:
        note_id = new_id() if data.note else None
        command = ChangeMembership(account_id=account_id, is_member=data.is_member, note_id=note_id)
        note = Beside(WRITE_NOTE, (note_id, account_id, caller.actor, data.note))
        await services.ledger.record_async(
            Submission(command=command, actor=caller.actor, beside=(note,) if note_id else ())
        )
    if not await services.threads.query(change_profile, account_id, name=data.name, role=data.role):
        raise NotFoundError
    return await services.threads.query(account_document, account_id)


def account_document(connection: Connection, account_id: str) -> AccountDocument:
    """The account as it is now. Raises `NotFoundError`."""
    numbers = numbers_of(connection, account_id)
    profile = profile_of(connection, account_id)
    if profile is None:
        raise NotFoundError
    return AccountDocument(
        id=account_id,
        email=profile.email,
        name=profile.name,
        role=profile.role,
        is_member=numbers.is_member,
        available=numbers.available,
        held=numbers.held,
        settled=numbers.settled,
        position=numbers.position,
        created_at=profile.created_at,
    )
