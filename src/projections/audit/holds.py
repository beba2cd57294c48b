"""Which generations held an account's tokens at a moment: from the log, in bounded time.

Reading back from the moment, a request whose ending has not been met was open. Whatever is open
adds up to the `held` of the moment's own fact, so reading ends there: usually after as many events
as an account has in the minutes that a generation takes. One that has been open far longer is not
read back to: the account's last snapshot names it, and the log is asked whether it was open.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import class_row

from ledger import snapshots
from ledger.identity import ending_id
from projections.audit.balances import Standing

EVENTS_MAX = 20_000
"""How far back is read at most: 20 ms; `Holds.complete` tells where it was not enough."""

LISTED_MAX = 1_000
"""The most holds that are told one by one."""

_STEP_MIN, _STEP_MAX = 64, 4_096

_BACK = b"""
SELECT version, position, at, type, (data ->> 'generation_id')::uuid AS generation_id,
       (data ->> 'cost')::bigint AS cost, data -> 'prompt' ->> 'id' AS prompt_id,
       data -> 'prompt' ->> 'title' AS title
FROM (
    SELECT * FROM ledger_facts
    WHERE account_id = %(account_id)s AND version <= %(version)s
    ORDER BY version DESC LIMIT %(limit)s
) AS stretch"""
_NAMED = b"""
SELECT version, position, at, type, fact_id AS generation_id, (data ->> 'cost')::bigint AS cost,
       data -> 'prompt' ->> 'id' AS prompt_id, data -> 'prompt' ->> 'title' AS title
FROM ledger_facts AS request
WHERE fact_id = ANY (%(ids)s) AND account_id = %(account_id)s AND version <= %(version)s
    AND type = 'generation_requested'"""
_ENDED = b"""
SELECT (data ->> 'generation_id')::uuid FROM ledger_events
WHERE fact_id = ANY (%(endings)s) AND account_id = %(account_id)s AND version <= %(version)s"""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """An open generation with the tokens that it holds, and the place of its request."""

    generation_id: UUID
    prompt_id: str
    title: str
    cost: int
    requested_at: datetime
    position: int


class Holds(msgspec.Struct, frozen=True):
    """What was open, newest first. Not `complete`: what is told adds up to less than `held`.

    A generation that costs nothing holds nothing, and is not told of.
    """

    listed: tuple[Hold, ...] = ()
    complete: bool = True


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    position: int
    at: datetime
    type: str
    generation_id: UUID | None
    cost: int | None
    prompt_id: str | None
    title: str | None


def holds_at(connection: psycopg.Connection[Any], standing: Standing) -> Holds:
    """The holds that add up to the `held` of `standing`."""
    if standing.held == 0:
        return Holds()
    found = _Found(standing.held)
    found.take(_of_the_snapshot(connection, standing))
    version, step = standing.version, _STEP_MIN
    while found.missing > 0 and version > 0 and standing.version - version < EVENTS_MAX:
        found.take(_back(connection, standing.account_id, version, step))
        version, step = version - step, min(step * 2, _STEP_MAX)
    holds = sorted(found.holds.values(), key=lambda hold: hold.position, reverse=True)
    complete = found.missing == 0 and len(holds) <= LISTED_MAX
    return Holds(tuple(holds[:LISTED_MAX]), complete)


class _Found:
    """Holds found so far, read from the newest line back."""

    def __init__(self, held: int) -> None:
        self.missing = held
        self.holds: dict[UUID, Hold] = {}
        self._ended: set[UUID] = set()

    def take(self, lines: Iterable[_Line]) -> None:
        """Take lines in, newest first, until nothing is missing."""
        for line in lines:
            if self.missing <= 0:
                return
            match line:
                case _Line(type="generation_requested", generation_id=UUID() as id_):
                    if line.cost and id_ not in self._ended and id_ not in self.holds:
                        self.holds[id_] = _hold(line, id_, line.cost)
                        self.missing -= line.cost
                case _Line(
                    type="tokens_consumed" | "generation_failed", generation_id=UUID() as id_
                ):
                    self._ended.add(id_)


def _hold(line: _Line, generation_id: UUID, cost: int) -> Hold:
    return Hold(
        generation_id=generation_id,
        prompt_id=line.prompt_id or "",
        title=line.title or "",
        cost=cost,
        requested_at=line.at.astimezone(UTC),
        position=line.position,
    )


def _back(
    connection: psycopg.Connection[Any], account_id: str, version: int, limit: int
) -> Sequence[_Line]:
    values = {"account_id": account_id, "version": version, "limit": limit}
    with connection.cursor(row_factory=class_row(_Line)) as cursor:
        return sorted(cursor.execute(_BACK, values), key=lambda line: -line.version)


def _of_the_snapshot(connection: psycopg.Connection[Any], standing: Standing) -> Sequence[_Line]:
    """Requests that the snapshot has as open and that the log had as open at the moment."""
    snapshot = snapshots.last(connection, standing.account_id)
    ids = list(snapshot.holds) if snapshot else []
    if not ids:
        return ()
    values = {
        "account_id": standing.account_id,
        "version": standing.version,
        "ids": ids,
        "endings": list(map(ending_id, ids)),
    }
    ended = {row[0] for row in connection.execute(_ENDED, values)}
    with connection.cursor(row_factory=class_row(_Line)) as cursor:
        lines = cursor.execute(_NAMED, values).fetchall()
    return [line for line in lines if line.generation_id not in ended]
