"""Facts as lines of an account's history: what each changed, and the numbers after it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import dict_row

from projections.audit.types import type_of

LIMIT_MAX = 1_001
"""The most lines of one call."""

# What changed is told by the numbers themselves, so that a kind of fact that is not known here is
# told of as well. Titles stand in requests, notes beside the log; both are found by their ids.
_LINES = """
SELECT e.position, e.account_id, e.version, e.topic, e.at, e.actor, e.settled, e.held,
       e.settled - coalesce(before.settled, 0) AS amount,
       e.held - coalesce(before.held, 0) AS held_change,
       (e.data ->> 'generation_id')::uuid AS generation_id,
       e.data ->> 'reason' AS reason,
       (SELECT request.data -> 'prompt' ->> 'title' FROM ledger_events AS request
        WHERE request.fact_id = (e.data ->> 'generation_id')::uuid
            AND request.account_id = e.account_id) AS title,
       (SELECT text FROM notes
        WHERE notes.id = (e.data ->> 'note_id')::uuid
            AND notes.account_id = e.account_id) AS note,
       e.data::text AS data
FROM ({chosen}) AS e
LEFT JOIN LATERAL (
    SELECT settled, held FROM ledger_events AS b
    WHERE b.account_id = e.account_id AND b.version < e.version
    ORDER BY b.version DESC LIMIT 1
) AS before ON true
ORDER BY e.position DESC"""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A fact. `settled` and `held` are after it; `amount` and `held_change` what it added to them.

    `title` is of the prompt as it was asked with, `note` the text beside the log, while it is kept.
    """

    position: int
    account_id: str
    version: int
    type: str
    at: datetime
    actor: str
    amount: int
    held_change: int
    settled: int
    held: int
    generation_id: UUID | None
    reason: str | None
    title: str | None
    note: str | None
    data: msgspec.Raw

    @property
    def available(self) -> int:
        """Tokens available after it."""
        return self.settled - self.held


def select_lines(
    connection: psycopg.Connection[Any], chosen: str, values: Mapping[str, Any]
) -> list[Line]:
    """Lines of the rows of `ledger_events` that the query `chosen` gives, the newest first."""
    # Not prepared: a plan for any number of rows would read all notes for a few.
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_LINES.format(chosen=chosen).encode(), values, prepare=False)
        return [_line(row) for row in rows]


def _line(row: dict[str, Any]) -> Line:
    kind = type_of(row.pop("topic"))
    return Line(
        **row
        | {"type": kind, "at": row["at"].astimezone(UTC), "data": msgspec.Raw(row["data"].encode())}
    )
