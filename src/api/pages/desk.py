"""An account as it was at a moment, all of it from the log: what support's page shows."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from api.accounts.store import Profile, profile_of
from api.audit.documents import TimelineEvent, timeline_event
from api.connection import Connection
from api.http.ids import is_id
from api.problems.refusals import NotFoundError
from projections.audit.balances import Standing, standing_at
from projections.audit.holds import Holds, holds_at
from projections.audit.timeline import timeline


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """The account's numbers, holds and events up to the moment; `now` is where it stands today.

    The profile stands beside the log, so it is today's.
    """

    profile: Profile | None
    now: Standing
    standing: Standing
    holds: Holds
    events: Sequence[TimelineEvent]
    end: int | None

    @property
    def is_past(self) -> bool:
        """Whether anything has happened since the moment."""
        return self.standing.version < self.now.version


def lay_out(
    connection: Connection,
    account_id: str,
    *,
    at: datetime | None = None,
    event: int | None = None,
    before: int | None = None,
    limit: int,
) -> Desk:
    """The account as of a time or of its so manieth event; without either, as it is now.

    `before` is where the last page of the timeline ended. Raises `NotFoundError` and what
    `standing_at` does.
    """
    if not is_id(account_id):
        raise NotFoundError
    now = standing_at(connection, account_id)
    standing = now
    if at is not None:
        standing = standing_at(connection, account_id, at=at)
    elif event is not None and event < now.version:
        (line,) = timeline(connection, account_id, before=event + 1, limit=1)
        standing = standing_at(connection, account_id, position=line.position)
    upto = standing.version + 1 if before is None else min(before, standing.version + 1)
    lines = timeline(connection, account_id, before=upto, limit=limit + 1)
    return Desk(
        profile=profile_of(connection, account_id),
        now=now,
        standing=standing,
        holds=holds_at(connection, standing),
        events=[timeline_event(line) for line in lines[:limit]],
        end=lines[limit - 1].version if len(lines) > limit else None,
    )
