"""Idempotency keys that were used a short while ago, here: most that come again are among them.

Only to save work: what comes again unrecognised is found by the ledger, which then has to decide
anew what else came with it.
"""

from collections import OrderedDict
from uuid import UUID

RECENT_MAX = 20_000


class RecentKeys:
    """The last `RECENT_MAX`, by their ids."""

    def __init__(self) -> None:
        self._ids: OrderedDict[UUID, None] = OrderedDict()

    def add(self, key_id: UUID) -> None:
        """Remember it, and forget the oldest where there are too many."""
        self._ids[key_id] = None
        if len(self._ids) > RECENT_MAX:
            self._ids.popitem(last=False)

    def __contains__(self, key_id: UUID) -> bool:
        return key_id in self._ids
