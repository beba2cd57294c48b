"""Who a key or a session stands for, and finding that out for many at once."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from api.connection import Connection
from api.credentials import Role
from api.problems.refusals import ForbiddenError
from api.texts.i18n import msg

_RANK: dict[Role, int] = {"user": 0, "support": 1, "admin": 2}
_KEYS = """
SELECT hash, id, account_id, role FROM api_keys WHERE hash = ANY(%s) AND revoked_at IS NULL"""
_SESSIONS = """
SELECT hash, account_id, role, seen_at < now() - interval '5 minutes' FROM sessions
WHERE hash = ANY(%s) AND ended_at IS NULL AND expires_at > now()
    AND seen_at > now() - interval '7 days'"""
_SEEN = "UPDATE sessions SET seen_at = now() WHERE hash = ANY(%s)"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The caller. `actor` is what the log remembers; support and admins may have no account."""

    actor: str
    role: Role
    account_id: str | None

    def may(self, role: Role) -> bool:
        """Whether the caller's role is that one or a higher one."""
        return _RANK[self.role] >= _RANK[role]

    @property
    def account(self) -> str:
        """The caller's own account. Raises `ForbiddenError` where there is none."""
        if self.account_id is None:
            raise ForbiddenError(msg("This key belongs to no account."))
        return self.account_id


BOOTSTRAP = Principal(actor="admin:bootstrap", role="admin", account_id=None)


def find_keys(connection: Connection, hashes: Sequence[bytes]) -> list[Principal | None]:
    """By the keys' hashes, in that order; None for one that nobody has, or that is revoked."""
    rows: list[tuple[bytes, UUID, str | None, Role]] = connection.execute(
        _KEYS, (hashes,), prepare=True
    ).fetchall()
    found = {
        hashed: Principal(actor=f"key:{key_id}", role=role, account_id=account_id)
        for hashed, key_id, account_id, role in rows
    }
    return [found.get(hashed) for hashed in hashes]


def find_sessions(connection: Connection, hashes: Sequence[bytes]) -> list[Principal | None]:
    """The same for sessions that have not ended; they have been seen now."""
    rows: list[tuple[bytes, str, Role, bool]] = connection.execute(
        _SESSIONS, (hashes,), prepare=True
    ).fetchall()
    if stale := [row[0] for row in rows if row[3]]:
        connection.execute(_SEEN, (stale,))
    found = {
        hashed: Principal(actor=f"account:{account_id}", role=role, account_id=account_id)
        for hashed, account_id, role, _ in rows
    }
    return [found.get(hashed) for hashed in hashes]
