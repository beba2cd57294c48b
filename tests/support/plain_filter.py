"""The log's filters as plain Python over all of its entries."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ledger.entry import Entry
from projections.audit.walks import Filter


def plain(entries: Sequence[Entry], asked: Filter) -> list[int]:
    """The positions of those that the filter lets through, in the log's order."""
    return [entry.position for entry in entries if _passes(entry, asked)]


def _passes(entry: Entry, asked: Filter) -> bool:
    fact = entry.fact
    checks: list[tuple[object, bool]] = [
        (asked.account, entry.account_id == asked.account),
        (asked.type, type(fact).__name__ == asked.type),
        (asked.generation, getattr(fact, "generation_id", None) == asked.generation),
        (asked.actor, entry.actor == asked.actor),
        (asked.since, _at_least(entry.at, asked.since)),
        (asked.until, not _at_least(entry.at, asked.until)),
        (asked.after, entry.position > (asked.after or 0)),
        (asked.before, entry.position < (asked.before or 0)),
    ]
    return all(holds for given, holds in checks if given is not None)


def _at_least(at: datetime, other: datetime | None) -> bool:
    return other is not None and at >= other


def generation_of(entry: Entry) -> UUID | None:
    """The generation that the entry is about."""
    found: UUID | None = getattr(entry.fact, "generation_id", None)
    return found
