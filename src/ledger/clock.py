"""The log's time."""

from datetime import UTC, datetime


def now_after(last: datetime | None) -> datetime:
    """The time, but never before `last`: "as of then" is always a prefix of the log."""
    now = datetime.now(UTC)
    return now if last is None else max(now, last.astimezone(UTC))
