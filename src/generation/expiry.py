"""Generations open past their deadline fail as expired, and their hold is released."""

from typing import Any
from uuid import UUID

import msgspec
import psycopg

from generation import metrics
from ledger.batch import Outcome
from ledger.commands import ReleaseGeneration, Submission
from ledger.ledger import Ledger

BATCH_MAX = 500

_OVERDUE = """
SELECT g.id, g.account_id FROM generations AS g
JOIN ledger_facts AS asked ON asked.position = g.position
WHERE g.outcome IS NULL AND asked.at < clock_timestamp() - %s * interval '1 second'
ORDER BY g.position LIMIT %s"""


class Overdue(msgspec.Struct, frozen=True):
    """An open generation past its deadline, as far as the view knows."""

    generation_id: UUID
    account_id: str


def overdue(
    connection: psycopg.Connection[Any], *, deadline_seconds: float, limit: int = BATCH_MAX
) -> list[Overdue]:
    """The oldest generations open for longer than `deadline_seconds`, up to `limit`."""
    rows = connection.execute(_OVERDUE, (deadline_seconds, limit))
    return [Overdue(*row) for row in rows]


def release(generation: Overdue) -> Submission:
    """What ends it, if nothing else has."""
    command = ReleaseGeneration(
        account_id=generation.account_id,
        generation_id=generation.generation_id,
        reason="expired",
        retryable=True,
    )
    return Submission(command=command, actor="system:expiry")


def expire(ledger: Ledger, generation: Overdue) -> bool:
    """Release it, unless it has ended after all; returns whether this ended it."""
    return count(ledger.record(release(generation)))


def count(outcome: Outcome) -> bool:
    """Count an expiry; whether it is what ended the generation."""
    ended = not outcome.replayed
    metrics.EXPIRED.inc(ended)
    return ended
