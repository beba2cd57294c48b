"""Accounts as the edge needs them: their numbers from the log, their profiles beside it."""

from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import class_row

from api.connection import Connection
from api.credentials import Role

CREATE_PROFILE = "INSERT INTO profiles (account_id, email, name) VALUES (%s, %s, %s)"
WRITE_NOTE = "INSERT INTO notes (id, account_id, actor, text) VALUES (%s, %s, %s, %s)"
_PROFILE = "SELECT account_id, email, name, role, created_at FROM profiles WHERE account_id = %s"
_CHANGE = """
UPDATE profiles SET name = coalesce(%(name)s, name), role = coalesce(%(role)s, role)
WHERE account_id = %(account_id)s"""
_END_OTHERS = """
UPDATE sessions SET ended_at = now()
WHERE account_id = %(account_id)s AND ended_at IS NULL AND role <> %(role)s"""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Who an account is."""

    account_id: str
    email: str
    name: str
    role: Role
    created_at: datetime


def profile_of(connection: Connection, account_id: str) -> Profile | None:
    """The profile, if there is one."""
    with connection.cursor(row_factory=class_row(Profile)) as cursor:
        return cursor.execute(_PROFILE, (account_id,)).fetchone()


def change_profile(
    connection: Connection, account_id: str, *, name: str | None, role: Role | None
) -> bool:
    """Whether there is such a profile; None leaves a value as it is.

    Sessions that were begun with another role end.
    """
    values: dict[str, Any] = {"account_id": account_id, "name": name, "role": role}
    with connection.transaction():
        changed = connection.execute(_CHANGE, values).rowcount == 1
        connection.execute(_END_OTHERS, values)
    return changed
