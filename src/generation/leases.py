"""Who works on which open generation: claim, renew, and what a successor is left.

The queue is the view of open generations. A lease is taken by counting its attempt up, which is
the fencing token: whoever holds a lower one has lost, and each write here tells it so.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg

from ledger.facts import Attempt, ImageRecord

Step = Literal["validating", "generating", "storing"]
"""What is being done; in this order."""

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
SELECT row_to_json(claimed)::text FROM claimed"""
_RENEW = """
UPDATE generation_leases SET lease_until = clock_timestamp() + %s * interval '1 second'
FROM unnest(%s::uuid[], %s::int[]) AS mine (id, attempt)
WHERE generation_id = mine.id AND generation_leases.attempt = mine.attempt
    AND NOT EXISTS (SELECT FROM generations AS g WHERE g.id = mine.id AND g.outcome IS NOT NULL)
RETURNING generation_id"""
_NOTE = """
UPDATE generation_leases
SET step = (ARRAY['validating', 'generating', 'storing'])[greatest(
        array_position(ARRAY['validating', 'generating', 'storing'], step),
        array_position(ARRAY['validating', 'generating', 'storing'], %(step)s::text))],
    stored = stored || %(stored)s::jsonb,
    calls = calls || %(calls)s::jsonb
WHERE generation_id = %(id)s AND attempt = %(attempt)s"""
_GIVE_BACK = """
UPDATE generation_leases SET lease_until = clock_timestamp() + %s * interval '1 second'
WHERE generation_id = %s AND attempt = %s"""
# The row outlives its generation until the view has seen the ending, or it would be claimed anew.
_DROP_ENDED = """
DELETE FROM generation_leases USING generations AS g
WHERE g.id = generation_id AND g.outcome IS NOT NULL"""
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
    values = {"worker": worker, "limit": limit, "seconds": seconds}
    return [_decode_lease(row[0]) for row in connection.execute(_CLAIM, values)]


def renew(
    connection: psycopg.Connection[Any], leases: Sequence[Lease], *, seconds: float
) -> set[UUID]:
    """Lengthen `leases` and return the generations still held; the others are lost or ended."""
    ids = [lease.generation_id for lease in leases]
    attempts = [lease.attempt for lease in leases]
    return {row[0] for row in connection.execute(_RENEW, (seconds, ids, attempts))}


def note(
    connection: psycopg.Connection[Any],
    lease: Lease,
    *,
    step: Step | None = None,
    stored: Sequence[StoredImage] = (),
    calls: Sequence[Call] = (),
) -> None:
    """Write down progress; a step never goes back.

    Raises `LeaseLostError` when the lease is another's by now.
    """
    values = {
        "step": step,
        "stored": msgspec.json.encode(stored).decode(),
        "calls": msgspec.json.encode(calls).decode(),
        "id": lease.generation_id,
        "attempt": lease.attempt,
    }
    if connection.execute(_NOTE, values).rowcount != 1:
        raise LeaseLostError(str(lease.generation_id))
    if step:
        connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(lease.generation_id)))


def give_back(
    connection: psycopg.Connection[Any], lease: Lease, *, after_seconds: float = 0
) -> None:
    """Let the lease end then, so that another worker need not wait for it to run out."""
    connection.execute(_GIVE_BACK, (after_seconds, lease.generation_id, lease.attempt))


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
