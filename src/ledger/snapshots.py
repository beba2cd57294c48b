"""Loading accounts: the last snapshot, and the events since.

A snapshot only saves time: with it, a cold account costs a bounded number of events.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import psycopg

from ledger.account import Account, evolve
from ledger.entry import Entry
from ledger.errors import CorruptLogError
from ledger.facts import ACCOUNT_ID
from ledger.log import TAIL_MAX, entries, select_tails

SAVE = """
INSERT INTO account_snapshots (account_id, version, shape, state)
SELECT account_id, version, shape, state
FROM json_to_recordset({}::json)
    AS r (account_id text, version bigint, shape integer, state jsonb)
ON CONFLICT (account_id) DO UPDATE
    SET version = EXCLUDED.version, shape = EXCLUDED.shape, state = EXCLUDED.state
WHERE account_snapshots.version < EXCLUDED.version
    OR account_snapshots.shape < EXCLUDED.shape"""
_LAST = "SELECT state::text FROM account_snapshots WHERE account_id = ANY(%s) AND shape = %s"

SHAPE = 1
"""Count this up whenever `Account` gains, loses or reinterprets a field: old ones are not read."""

LOADED_AT_ONCE = 64
"""Accounts: their rows lie anywhere in the log, and more than these, from a disk, may take longer
than a statement may."""

_decode = msgspec.json.Decoder(Account).decode


def follow(account: Account, entry: Entry) -> Account:
    """`account` after `entry`.

    Raises `CorruptLogError` if the entry is not the next one, or carries other numbers than
    the fold leads to.
    """
    if entry.version != account.version + 1:
        raise CorruptLogError(entry.account_id, entry.version, f"follows {account.version}")
    after = evolve(account, entry.fact, entry.at)
    if (after.settled, after.held) != (entry.settled, entry.held):
        raise CorruptLogError(entry.account_id, entry.version, "carries other numbers")
    return after


def follow_all(accounts: dict[str, Account], tail: Iterable[Entry]) -> None:
    """Bring `accounts` level with `tail`, in place."""
    for entry in tail:
        accounts[entry.account_id] = follow(accounts[entry.account_id], entry)


def cut_off(behind: Iterable[Account], accounts: dict[str, Account]) -> list[Account]:
    """Those of `behind` that are as far on as one reading of a tail goes: there may be more."""
    return [
        accounts[account.account_id]
        for account in behind
        if accounts[account.account_id].version >= account.version + TAIL_MAX
    ]


def last(connection: psycopg.Connection[Any], account_id: str) -> Account | None:
    """The account as it was when its last snapshot was taken, if one can be read."""
    row = connection.execute(_LAST, ([account_id], SHAPE)).fetchone()
    return _decode(row[0]) if row else None


def load(connection: psycopg.Connection[Any], account_ids: Sequence[str]) -> dict[str, Account]:
    """Accounts as the log has them now; an id that it does not know is an account unopened."""
    accounts: dict[str, Account] = {}
    for start in range(0, len(account_ids), LOADED_AT_ONCE):
        accounts |= _load(connection, account_ids[start : start + LOADED_AT_ONCE])
    return accounts


def encode_snapshots(accounts: Sequence[Account]) -> str:
    """The one parameter of `SAVE`."""
    rows = [
        {"account_id": a.account_id, "version": a.version, "shape": SHAPE, "state": a}
        for a in accounts
    ]
    return msgspec.json.encode(rows).decode()


def _load(connection: psycopg.Connection[Any], account_ids: Sequence[str]) -> dict[str, Account]:
    accounts = {account_id: Account(account_id=account_id) for account_id in account_ids}
    storable = [account_id for account_id in account_ids if ACCOUNT_ID.fullmatch(account_id)]
    for (state,) in connection.execute(_LAST, (storable, SHAPE)):
        account = _decode(state)
        accounts[account.account_id] = account
    behind = list(accounts.values())
    while behind:
        follow_all(accounts, entries(select_tails(connection, behind)))
        behind = cut_off(behind, accounts)
    return accounts
