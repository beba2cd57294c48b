"""API keys: made by admins, shown once, stored as a hash."""

import secrets
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from psycopg.rows import class_row

from api.audit.recording import recorded
from api.connection import Connection
from api.credentials import PREFIX, SECRET_BYTES, Role, key_hash
from api.http.auth import requires
from api.http.cursors import LIMIT_DEFAULT, CursorParameter, LimitParameter, Listing, Page
from api.http.ids import NO_NUL, is_id
from api.http.principals import Principal
from api.openapi.documented import refusals
from api.problems.refusals import NotFoundError
from api.services import Services
from ledger.identity import new_id

_CREATE = """
INSERT INTO api_keys (id, account_id, role, name, hash) VALUES (%s, %s, %s, %s, %s)
RETURNING created_at"""
_LIST = """
SELECT id, role, name, created_at, revoked_at FROM api_keys
WHERE account_id = %(account_id)s AND (%(before)s::uuid IS NULL OR id < %(before)s::uuid)
ORDER BY id DESC LIMIT %(limit)s"""
_REVOKE = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE account_id = %s AND id = %s"""

KeyName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NO_NUL)]


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be. It keeps its role, whatever becomes of the account's."""

    role: Role
    name: KeyName


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    id: UUID
    role: Role
    name: str
    created_at: datetime
    revoked_at: datetime | None = None


class CreatedKey(Key, frozen=True, kw_only=True):
    """A key with its secret, which is shown here and never again."""

    key: Annotated[str, msgspec.Meta(examples=["mint_Zr0…"])]


def create_key(
    connection: Connection, account_id: str | None, *, role: Role, name: str
) -> CreatedKey:
    """Make a key and store its hash. A user's key needs an account."""
    key = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    key_id = new_id()
    row = connection.execute(_CREATE, (key_id, account_id, role, name, key_hash(key))).fetchone()
    assert row is not None
    return CreatedKey(id=key_id, role=role, name=name, created_at=row[0], key=key)


@post(
    "/{account_id:str}/keys",
    guards=[requires("admin")],
    summary="Make a key",
    responses=refusals("INVALID_INPUT", "NOT_FOUND"),
)
async def create(
    data: JSONBody[NewKey], services: NamedDependency[Services], account_id: FromPath[str]
) -> CreatedKey:
    """`key` is shown once."""
    await _check_account(services, account_id)
    return await services.threads.query(create_key, account_id, role=data.role, name=data.name)


@get(
    "/{account_id:str}/keys",
    summary="An account's keys",
    responses=refusals("INVALID_INPUT", "NOT_FOUND"),
)
async def list_keys(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    account_id: FromPath[str],
    cursor: CursorParameter = None,
    limit: LimitParameter = LIMIT_DEFAULT,
) -> Page[Key]:
    """Newest first, revoked ones too."""
    listing = Listing("keys", account=account_id)
    (before,) = listing.places(cursor, tuple[UUID]) or (None,)
    await recorded(services, caller, "keys", account_id=account_id, cursor=cursor, limit=limit)
    await _check_account(services, account_id)
    rows = await services.threads.query(_list, account_id, before, limit + 1)
    return listing.page(rows, limit, lambda row: row, lambda row: (str(row.id),))


@delete(
    "/{account_id:str}/keys/{key_id:uuid}",
    guards=[requires("admin")],
    summary="Revoke a key",
    responses=refusals("NOT_FOUND"),
)
async def revoke(
    services: NamedDependency[Services], account_id: FromPath[str], key_id: FromPath[UUID]
) -> None:
    """It stops working at once, everywhere."""
    if not is_id(account_id) or not await services.threads.query(_revoke, account_id, key_id):
        raise NotFoundError


async def _check_account(services: Services, account_id: str) -> None:
    read = services.threads.read
    if not is_id(account_id) or not (await read(services.ledger.account, account_id)).is_open:
        raise NotFoundError


def _list(connection: Connection, account_id: str, before: UUID | None, limit: int) -> list[Key]:
    values: dict[str, Any] = {"account_id": account_id, "before": before, "limit": limit}
    with connection.cursor(row_factory=class_row(Key)) as cursor:
        return cursor.execute(_LIST, values).fetchall()


def _revoke(connection: Connection, account_id: str, key_id: UUID) -> bool:
    return connection.execute(_REVOKE, (account_id, key_id)).rowcount == 1
