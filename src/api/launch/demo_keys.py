"""The demo's three keys: made once, kept in the data folder, printed by each `up`."""

import secrets
from pathlib import Path
from typing import Any, get_args

import msgspec
import psycopg

from api.credentials import PREFIX, SECRET_BYTES, Role, key_hash
from ledger.embedded.paths import write_durably
from ledger.identity import new_id

_FIND = "SELECT account_id, role, revoked_at IS NULL FROM api_keys WHERE hash = %s"
_INSERT = """
INSERT INTO api_keys (id, account_id, role, name, hash) VALUES (%s, %s, %s, %s, %s)"""


def demo_keys(connection: psycopg.Connection[Any], home: Path, account_id: str) -> dict[Role, str]:
    """A key for each role, the user's for `account_id`: those of last time where they still hold.

    A revoked one stays revoked and is followed by a new one. The file is 0600.
    """
    path = home / "demo-keys.json"
    kept = _read(path)
    keys: dict[Role, str] = {}
    for role in get_args(Role):
        owner = account_id if role == "user" else None
        keys[role] = _valid(connection, role, owner, kept.get(role))
    if keys != kept:
        write_durably(path, msgspec.json.encode(keys), 0o600)
    return keys


def _read(path: Path) -> dict[Role, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[Role, str])
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}


def _valid(
    connection: psycopg.Connection[Any], role: Role, owner: str | None, key: str | None
) -> str:
    row = connection.execute(_FIND, [key_hash(key)]).fetchone() if key else None
    if key is not None and row == (owner, role, True):
        return key
    if key is None or row is not None:
        key = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    # One that only the file remembers, since the database was emptied, comes back as it was.
    connection.execute(_INSERT, (new_id(), owner, role, "demo", key_hash(key)))
    return key
