"""Who works on which open generation: claim, renew, and what a successor is left.

The queue is the view of open generations. A lease is taken by counting its attempt up, which is
the fencing token: whoever holds a lower one has lost, and each write here tells it so.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

import msgspec
import psycopg

from ledger.facts import Attempt, ImageRecord

Step = Literal["validating", "generating", "storing"]
"""What is being done; in this order."""

STEPS: tuple[Step, ...] = get_args(Step)

CHANNEL = "generation_steps"
"""NOTIFY channel; the payload is the id of a generation whose step changed."""

# A claim starts from the view and so may be late: the claimer asks the log before it pays.
_CLAIM = """
WITH open AS (
    SELECT g.id, g.account_id
    FROM generations AS g
    LEFT JOIN generation_leases AS l ON l.generation_id = g.id
    WHERE g.outcome IS NULL AND (l.lease_until IS NULL OR l.lease_until < clock_timestamp())
    ORDER BY g.position
    LIMIT %(limit)s
), claimed AS (
    INSERT INTO generation_leases AS l (generation_id, account_id, attempt, worker, lease_until)
    SELECT id, account_id, 1, %(worker)s, clock_timestamp() + %(seconds)s * interval '1 second'
    FROM open ORDER BY id
    ON CONFLICT (generation_id) DO UPDATE
        SET attempt = l.attempt + 1, worker = EXCLUDED.worker, lease_until = EXCLUDED.lease_until
        WHERE l.lease_until < clock_timestamp()
    RETURNING generation_id, account_id, attempt, stored, calls
)
SELECT row_to_json(claimed)::text, pg_notify(%(channel)s, generation_id::text) FROM claimed"""
# Statements of one worker run at once: each locks its rows in the order of their ids.
_RENEW = """
WITH mine AS MATERIALIZED (
    SELECT l.generation_id, l.lease_until
    FROM unnest(string_to_array(%(ids)s, ',')::uuid[], string_to_array(%(attempts)s, ',')::int[])
        AS held (id, attempt)
    JOIN generation_leases AS l ON l.generation_id = held.id AND l.attempt = held.attempt
    WHERE NOT EXISTS (SELECT FROM generations AS g WHERE g.id = held.id AND g.outcome IS NOT NULL)
), due AS MATERIALIZED (
    SELECT l.generation_id, l.attempt FROM generation_leases AS l JOIN mine USING (generation_id)
    WHERE mine.lease_until < clock_timestamp() + %(due)s * interval '1 second'
    ORDER BY l.generation_id FOR NO KEY UPDATE OF l
), renewed AS (
    UPDATE generation_leases AS l
    SET lease_until = clock_timestamp() + %(seconds)s * interval '1 second'
    FROM due WHERE l.generation_id = due.generation_id AND l.attempt = due.attempt
)
SELECT generation_id FROM mine"""
_NOTE = """
WITH notes AS MATERIALIZED (
    SELECT n.*, l.step AS before
    FROM generation_leases AS l
    JOIN jsonb_to_recordset(%s::jsonb)
        AS n (id uuid, attempt int, step text, stored jsonb, calls jsonb)
        ON l.generation_id = n.id AND l.attempt = n.attempt
    ORDER BY l.generation_id FOR NO KEY UPDATE OF l
), noted AS (
    UPDATE generation_leases AS l
    SET step = (ARRAY['validating', 'generating', 'storing'])[greatest(
            array_position(ARRAY['validating', 'generating', 'storing'], l.step),
            array_position(ARRAY['validating', 'generating', 'storing'], n.step))],
        stored = l.stored || n.stored,
        calls = l.calls || n.calls
    FROM notes AS n WHERE l.generation_id = n.id AND l.attempt = n.attempt
    RETURNING l.generation_id, l.attempt, n.step
)
SELECT generation_id, attempt,
    CASE WHEN step IS NOT NULL THEN pg_notify(%s, generation_id::text) END
FROM noted"""
_GIVE_BACK = """
WITH mine AS MATERIALIZED (
    SELECT l.generation_id, l.attempt
    FROM unnest(string_to_array(%s, ',')::uuid[], string_to_array(%s, ',')::int[])
        AS held (id, attempt)
    JOIN generation_leases AS l ON l.generation_id = held.id AND l.attempt = held.attempt
    ORDER BY l.generation_id FOR NO KEY UPDATE OF l
)
UPDATE generation_leases AS l
SET lease_until = clock_timestamp() + %s * interval '1 second'
FROM mine WHERE l.generation_id = mine.generation_id AND l.attempt = mine.attempt"""
# The row outlives its generation until the view has seen the ending, or it would be claimed anew.
_DROP_ENDED = """
DELETE FROM generation_leases WHERE generation_id IN (
    SELECT l.generation_id
    FROM generation_leases AS l JOIN generations AS g ON g.id = l.generation_id
    WHERE g.outcome IS NOT NULL
    ORDER BY l.generation_id FOR UPDATE OF l SKIP LOCKED)"""
_HELD = """
SELECT row_to_json(l)::text FROM (
    SELECT worker, attempt, step, lease_until, calls FROM generation_leases
    WHERE generation_id = %s) AS l"""
_STEPS = "SELECT generation_id, step FROM generation_leases WHERE generation_id = ANY(%s)"


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider call as it begins, or, with `outcome`, as it ended."""

    attempt: int
    image: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None


def paired(calls: Sequence[Call]) -> Iterator[tuple[Call, Call | None]]:
    """Each call as it began, with how it ended; None where nobody has written that down."""
    ends = {(call.attempt, call.image, call.started_at): call for call in calls if call.outcome}
    for call in calls:
        if call.outcome is None:
            yield call, ends.get((call.attempt, call.image, call.started_at))


class StoredImage(msgspec.Struct, frozen=True, kw_only=True):
    """Image `image` (from 0) of a generation: complete in storage, not charged for yet."""

    image: int
    record: ImageRecord


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed generation, with what earlier attempts left."""

    generation_id: UUID
    account_id: str
    attempt: int
    stored: list[StoredImage]
    calls: list[Call]

    def begun(self, image: int) -> int:
        """How many calls for that image were begun so far, by whomever."""
        return sum(call.image == image and call.outcome is None for call in self.calls)

    def history(self, now: datetime) -> list[Attempt]:
        """The calls so far as facts; those that never ended are `lost`, noticed `now`."""
        return [
            Attempt(
                attempt=call.attempt,
                image=call.image,
                started_at=call.started_at,
                ended_at=(end.ended_at if end else None) or now,
                outcome=msgspec.convert(
                    end.outcome if end else "lost", Attempt.__annotations__["outcome"]
                ),
            )
            for call, end in paired(self.calls)
        ]


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Progress to be written down with the lease `attempt` of generation `id`."""

    id: UUID
    attempt: int
    step: Step | None = None
    stored: tuple[StoredImage, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def held(self) -> tuple[UUID, int]:
        """Which lease it is of."""
        return self.id, self.attempt

    def followed_by(self, later: "Note") -> "Note":
        """Both as one, of the same lease."""
        return Note(
            id=self.id,
            attempt=self.attempt,
            step=max(filter(None, (self.step, later.step)), key=STEPS.index, default=None),
            stored=self.stored + later.stored,
            calls=self.calls + later.calls,
        )


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Who works on a generation, or last did, as far as it got, and the calls so far."""

    worker: str
    attempt: int
    step: Step
    lease_until: datetime
    calls: list[Call]


class LeaseLostError(Exception):
    """Another worker has claimed the generation since."""


_decode_lease = msgspec.json.Decoder(Lease).decode
_decode_held = msgspec.json.Decoder(Held).decode


def claim(
    connection: psycopg.Connection[Any], *, worker: str, limit: int, seconds: float
) -> list[Lease]:
    """Lease up to `limit` open generations to `worker` for `seconds`, oldest first."""
    values = {"worker": worker, "limit": limit, "seconds": seconds, "channel": CHANNEL}
    return [_decode_lease(row[0]) for row in connection.execute(_CLAIM, values)]


def renew(
    connection: psycopg.Connection[Any], leases: Sequence[Lease], *, seconds: float
) -> set[UUID]:
    """The generations still held, the others being lost or ended; lengthens leases to `seconds`.

    Those of which more than two thirds are left stay as they are.
    """
    ids, attempts = _held(leases)
    values = {"ids": ids, "attempts": attempts, "seconds": seconds, "due": seconds * 2 / 3}
    return {row[0] for row in connection.execute(_RENEW, values)}


def note(connection: psycopg.Connection[Any], notes: Sequence[Note]) -> list[bool]:
    """Write down progress, of each lease that is still held: whether it is; all or nothing.

    A step never goes back. Several notes of one lease are written in their order.
    """
    merged: dict[tuple[UUID, int], Note] = {}
    for each in notes:
        before = merged.get(each.held)
        merged[each.held] = before.followed_by(each) if before else each
    document = msgspec.json.encode(list(merged.values())).decode()
    kept = {(row[0], row[1]) for row in connection.execute(_NOTE, (document, CHANNEL))}
    return [each.held in kept for each in notes]


def give_back(
    connection: psycopg.Connection[Any], leases: Sequence[Lease], *, after_seconds: float = 0
) -> None:
    """Let the leases end then, so that another worker need not wait for them to run out."""
    connection.execute(_GIVE_BACK, (*_held(leases), after_seconds))


def _held(leases: Sequence[Lease]) -> tuple[str, str]:
    # As texts, since the client's array type is ten times slower.
    ids = ",".join(str(lease.generation_id) for lease in leases)
    return ids, ",".join(str(lease.attempt) for lease in leases)


def drop_ended(connection: psycopg.Connection[Any]) -> int:
    """Delete the leases of generations whose ending the view has seen; returns how many."""
    return connection.execute(_DROP_ENDED).rowcount


def steps_of(
    connection: psycopg.Connection[Any], generation_ids: Sequence[UUID]
) -> dict[UUID, Step]:
    """The step of each generation that was ever claimed; one that waits is absent."""
    return dict(connection.execute(_STEPS, (list(generation_ids),)).fetchall())


def held_by(connection: psycopg.Connection[Any], generation_id: UUID) -> Held | None:
    """The generation's lease; None where nobody has claimed it, or it ended a while ago."""
    row = connection.execute(_HELD, (generation_id,)).fetchone()
    return _decode_held(row[0]) if row else None
