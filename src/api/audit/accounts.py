"""Accounts for support: finding one, and what it is."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.accounts.store import profile_of
from api.audit.documents import FoundAccount, Version
from api.audit.recording import recorded
from api.audit.search import search_accounts
from api.connection import Connection
from api.credentials import Role
from api.http.cursors import LIMIT_DEFAULT, CursorParameter, LimitParameter, Listing, Page
from api.http.ids import QUERY_CHARACTERS_MAX, is_id
from api.http.principals import Principal
from api.http.schemas import Position
from api.openapi.documented import refusals
from api.problems.refusals import NotFoundError
from api.services import Services
from projections.audit.explain import summarize

SearchText = Annotated[
    str | None,
    QueryParameter(
        max_length=QUERY_CHARACTERS_MAX,
        pattern=r"^[^\u0000-\u001f]*[^\s\u0000-\u001f][^\u0000-\u001f]*$",
        description="Part of the id, the e-mail or the name, in any case.",
    ),
]


class GenerationCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Generations by how they ended."""

    succeeded: int
    failed: int
    canceled: int
    open: int


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the log has of an account. `open_holds` are the open generations that cost something."""

    events: int
    generations: GenerationCounts
    images: int
    open_holds: int


class AuditAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account: who it is, its tokens at one position, and how much has happened.

    An account that was imported without a profile has no e-mail, name, role or `created_at`.
    """

    id: str
    email: str | None
    name: str | None
    role: Role | None
    created_at: datetime | None
    opened_at: datetime
    is_member: bool
    available: int
    held: int
    settled: int
    position: Position
    version: Version
    counts: Counts


@get("/accounts", summary="Find accounts", responses=refusals("INVALID_INPUT"))
async def find(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    q: SearchText = None,
    cursor: CursorParameter = None,
    limit: LimitParameter = LIMIT_DEFAULT,
) -> Page[FoundAccount]:
    """By a part of the id, the e-mail or the name; all of them without `q`. Newest first."""
    return await find_accounts(services, caller, q, cursor, limit)


async def find_accounts(
    services: Services, caller: Principal, q: str | None, cursor: str | None, limit: int
) -> Page[FoundAccount]:
    """A page of those that are found, and the record of who was shown."""
    text = None if q is None else q.strip()
    listing = Listing("audit_accounts", q=text)
    before = listing.places(cursor, tuple[datetime, str])
    rows = await services.threads.audit(search_accounts, text, before=before, limit=limit + 1)
    shown = [row.id for row in rows[:limit]]
    await recorded(
        services, caller, "accounts_search", shown=shown, q=text, cursor=cursor, limit=limit
    )
    return listing.page(
        rows, limit, lambda row: row, lambda row: (row.created_at.isoformat(), row.id)
    )


@get(
    "/accounts/{account_id:str}",
    summary="An account, its balance and counts",
    responses=refusals("NOT_FOUND"),
)
async def get_one(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    account_id: FromPath[str],
) -> AuditAccount:
    """All of it at one position of the log. The counts are made anew, from each of its events."""
    await recorded(services, caller, "account", account_id=account_id)
    return await services.threads.audit(audit_account, account_id)


def audit_account(connection: Connection, account_id: str) -> AuditAccount:
    """The account as it is now. Raises `UnknownAccountError` or `NotFoundError`."""
    if not is_id(account_id):
        raise NotFoundError
    summary = summarize(connection, account_id)
    standing, totals = summary.standing, summary.totals
    profile = profile_of(connection, account_id)
    return AuditAccount(
        id=account_id,
        email=profile.email if profile else None,
        name=profile.name if profile else None,
        role=profile.role if profile else None,
        created_at=profile.created_at if profile else None,
        opened_at=summary.opened_at,
        is_member=standing.is_member,
        available=standing.available,
        held=standing.held,
        settled=standing.settled,
        position=standing.position,
        version=standing.version,
        counts=Counts(
            events=standing.version,
            generations=GenerationCounts(**totals.outcomes),
            images=totals.images,
            open_holds=totals.open_holds,
        ),
    )
