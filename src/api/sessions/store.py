"""Sessions in the database: begun, found at each request, ended."""

import secrets
from datetime import UTC, datetime, timedelta

import msgspec

from api.connection import Connection
from api.credentials import Role, key_hash
from api.problems.refusals import TooManyLoginsError, UnauthenticatedError

SESSION_SECONDS = 30 * 86_400
LOGINS_MAX = 60
LOGINS_SECONDS = 60
"""So many logins of one account within that time, over all processes."""

_ID_BYTES = 32
# Locked, so that the logins of one account are counted one after the other.
_ROLE = "SELECT role FROM profiles WHERE account_id = %s FOR UPDATE"
_RECENT = """
SELECT count(*) FROM sessions
WHERE account_id = %s AND created_at > now() - %s * interval '1 second'"""
_CREATE = "INSERT INTO sessions (hash, account_id, role, expires_at) VALUES (%s, %s, %s, %s)"
_END = "UPDATE sessions SET ended_at = now() WHERE account_id = %s AND ended_at IS NULL"
_FORGET = """
DELETE FROM sessions
WHERE account_id = %s AND least(expires_at, ended_at) < now() - interval '1 day'"""


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that has just begun; `id` is known to its browser alone."""

    id: str
    account_id: str
    role: Role
    expires_at: datetime


def begin(connection: Connection, account_id: str) -> NewSession:
    """A session of the account, with the role that it has now.

    Raises `UnauthenticatedError` where there is no such account, and `TooManyLoginsError`.
    """
    session_id = secrets.token_urlsafe(_ID_BYTES)
    expires_at = datetime.now(UTC) + timedelta(seconds=SESSION_SECONDS)
    with connection.transaction():
        row = connection.execute(_ROLE, (account_id,)).fetchone()
        if row is None:
            raise UnauthenticatedError
        recent = connection.execute(_RECENT, (account_id, LOGINS_SECONDS)).fetchone()
        if recent is not None and recent[0] >= LOGINS_MAX:
            raise TooManyLoginsError(LOGINS_SECONDS)
        connection.execute(_FORGET, (account_id,))
        connection.execute(_CREATE, (key_hash(session_id), account_id, row[0], expires_at))
    return NewSession(id=session_id, account_id=account_id, role=row[0], expires_at=expires_at)


def end_all(connection: Connection, account_id: str) -> None:
    """Log the account out, in every browser."""
    connection.execute(_END, (account_id,))
