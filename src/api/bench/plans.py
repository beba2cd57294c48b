"""How PostgreSQL does what the committer asks of it, with the pages that it touches."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from api.bench.history import accounts_of
from api.bench.ours import GroupCommitter
from ledger import appending, log, snapshots
from ledger.account import Account
from ledger.batch import Batch
from ledger.clock import now_after
from ledger.session import SETTINGS

ACCOUNTS = 32
"""One command of each, as in a batch of half of 64 callers; fewer where there are fewer."""

MISSED = 2
"""What has become of each since it was read."""

_EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, WAL, COSTS OFF, TIMING OFF) "


def write_plans(path: Path, logs: Mapping[int, str]) -> None:
    """Write those in each of the logs: by how many events they have, how to connect as owner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(
        f"{what}, a log of {events:,} events\n{plan}\n"
        for events, url in logs.items()
        for what, plan in _plans(url, min(ACCOUNTS, accounts_of(events))).items()
    )
    path.write_text(text, encoding="utf-8")


def _plans(url: str, accounts_asked: int) -> dict[str, str]:
    """The plan of each statement, carried out for so many accounts, and taken back."""
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(SETTINGS.encode())  # plans are made under the committer's own
        account_ids = [f"bench-{number}" for number in range(accounts_asked)]
        accounts = snapshots.load(connection, account_ids)
        head = log.Head(connection.execute(log.HEAD.encode()).fetchone())
        batch = Batch(head.position, now_after(head.at), dict(accounts), {})
        asked = [GroupCommitter.pair(each)[0] for each in account_ids]
        for submission in asked:
            batch.apply(submission)
        ids = ",".join(str(each.key_id) for each in asked)
        explained = {
            "ids looked up": ("EXECUTE ledger_known(%s)", [ids]),
            "accounts brought level": (
                "EXECUTE ledger_tails(%s, %s)",
                log.tail_parameters([_as_it_was(account) for account in accounts.values()]),
            ),
            "rows appended": (
                f"EXECUTE ledger_append_alone({', '.join(['%s'] * len(appending.ALONE_TYPES))})",
                [*appending.text_parameters(batch.after, batch.at_text, batch.rows), None, None],
            ),
        }
        found = {
            what: _plan(connection, statement, parameters)
            for what, (statement, parameters) in explained.items()
        }
        connection.rollback()
    return found


def _as_it_was(account: Account) -> Account:
    return msgspec.structs.replace(account, version=max(account.version - MISSED, 0))


def _plan(connection: psycopg.Connection[Any], statement: str, parameters: Any) -> str:
    lines = connection.execute((_EXPLAIN + statement).encode(), parameters).fetchall()
    return "\n".join(re.sub(r"'[^']{40,}'", "'…'", line) for (line,) in lines)
