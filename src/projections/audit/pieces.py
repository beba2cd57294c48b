"""All of a walk, read a bounded piece at a time, so that it may be as long as it likes."""

from typing import Any

import psycopg

from projections.audit.events import Event, read_slice
from projections.audit.walks import Walk

PIECE = 2_000
"""Events that are read, and kept in memory, at a time."""

PIECE_WINDOWS = 10


class Pieces:
    """How far the reading of a walk has come. No connection is needed between two pieces."""

    def __init__(self, walk: Walk, *, descending: bool, limit: int | None) -> None:
        """`limit` events at the most; None: all."""
        self._walk = walk
        self._descending = descending
        self._left = limit
        self._place: int | None = None
        self._ended = False
        self.count = 0

    @property
    def is_done(self) -> bool:
        """Whether there is no further piece."""
        return self._ended or self._left == 0

    def read(self, connection: psycopg.Connection[Any]) -> list[Event]:
        """The next piece; it may be empty and yet not the last."""
        part = read_slice(
            connection,
            self._walk,
            place=self._place,
            descending=self._descending,
            limit=PIECE if self._left is None else min(self._left, PIECE),
            windows=PIECE_WINDOWS,
        )
        self.count += len(part.events)
        if self._left is not None:
            self._left -= len(part.events)
        self._place = part.next_place
        self._ended = part.next_place is None
        return part.events
