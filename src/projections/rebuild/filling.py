"""Which view is filled next, by whom: always the one furthest behind, so that all stay together."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from projections.rebuild import checkpoint, shadow
from projections.views import View

RANGE = 100_000
"""Positions in one transaction: few enough for their pages to be still there for the next view.

More of them spare balances the many writes of an account in ranges that follow each other."""

_IDLE_SECONDS = 0.01


class Filling:
    """Shared by the threads that fill; each view is in one hand at a time."""

    def __init__(
        self, views: Sequence[View], positions: Mapping[str, int], head: int, step: int
    ) -> None:
        """Views stand at `positions` and are to be filled up to `head`."""
        self._lock = threading.Lock()
        self._positions = {view: positions[view.name] for view in views}
        self._taken: set[View] = set()
        self._ready: set[View] = set()
        self._checked: set[tuple[tuple[str, ...], int, int]] = set()
        self._connections: list[psycopg.Connection[Any]] = []
        self._head = head
        self._step = step

    @property
    def done(self) -> int:
        """Events filled so far, of all views together."""
        return sum(min(at, self._head) for at in self._positions.values())

    @property
    def phase(self) -> str:
        """What is being done."""
        behind = any(at < self._head for at in self._positions.values())
        return "filling" if behind else "indexing"

    def work(self, connection: psycopg.Connection[Any], stop: threading.Event) -> None:
        """Fill and index whatever nobody else has in hand, until all is done or `stop` is set."""
        with self._lock:
            self._connections.append(connection)
        while not stop.is_set():
            with self._lock:
                left = set(self._positions) - self._ready
                view = min(left - self._taken, key=self._positions.__getitem__, default=None)
                if view is not None:
                    self._taken.add(view)
            if not left:
                return
            if view is None:
                stop.wait(_IDLE_SECONDS)
                continue
            try:
                self._one(connection, view)
            finally:
                with self._lock:
                    self._taken.remove(view)

    def cancel(self) -> None:
        """End the statements that run: an index may take minutes."""
        for connection in self._connections:
            if not connection.closed:
                connection.cancel_safe(timeout=5)

    def _one(self, connection: psycopg.Connection[Any], view: View) -> None:
        at = self._positions[view]
        if at < self._head:
            upto = min(self._head, at + self._step)
            # Where one view has found nothing unknown, others that know the same need not look.
            looked_at = (view.topics, at, upto)
            is_checked = looked_at in self._checked
            checkpoint.fill(connection, view, at, upto, is_checked=is_checked)
            self._checked.add(looked_at)
            self._positions[view] = upto
        else:
            shadow.add_indexes(connection, view)
            # Before anyone reads it: without statistics plans would be guesses.
            connection.execute(
                sql.SQL("ANALYZE {}").format(sql.Identifier(shadow.shadow_name(view)))
            )
            self._ready.add(view)
