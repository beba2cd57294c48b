"""Who fills which range next, so that two are never idle and each page of the log is read once.

Views whose ranges may come in any order are filled together, one worker from the log's beginning
and one from its end, until they meet. The others follow, range by range, the one in front.
"""

import itertools
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from projections.rebuild import checkpoint, shadow
from projections.rebuild.checkpoint import Filled
from projections.views import View

RANGE = 50_000
"""Positions in one transaction: what is read of them fits into the server's memory."""

_IDLE_SECONDS = 0.01


class Range(msgspec.Struct, frozen=True):
    """Positions in (after, upto] that `views` lack, which read the same."""

    after: int
    upto: int
    views: tuple[View, ...]

    @property
    def events(self) -> int:
        """As the progress counts them."""
        return (self.upto - self.after) * len(self.views)


class Filling:
    """Shared by the threads that fill; each range is in one hand."""

    def __init__(
        self, views: Sequence[View], filled: Mapping[str, Filled], head: int, step: int
    ) -> None:
        """Views hold what is `filled` and are to be filled up to `head`."""
        self._lock = threading.Lock()
        self._ranges = deque(_ranges([v for v in views if v.any_order], filled, head, step))
        self._in_order = {
            v: deque(_ranges([v], filled, head, step)) for v in views if not v.any_order
        }
        self._left = dict.fromkeys(views, 0)
        for queue in (self._ranges, *self._in_order.values()):
            for each in queue:
                self._count(each, 1)
        # The largest is built first: nobody waits for it in the end.
        self._unindexed = list(reversed(views))
        self._followed: set[View] = set()
        self._connections: list[psycopg.Connection[Any]] = []
        self._done = sum(min(filled[view.name].events, head) for view in views)

    @property
    def done(self) -> int:
        """Events filled so far, of all views together."""
        return self._done

    @property
    def phase(self) -> str:
        """What is being done."""
        return "filling" if any(self._left.values()) else "indexing"

    def work(
        self, connection: psycopg.Connection[Any], stop: threading.Event, *, backwards: bool
    ) -> None:
        """Fill and index whatever nobody else has in hand, until all is done or `stop` is set."""
        with self._lock:
            self._connections.append(connection)
        while not stop.is_set():
            with self._lock:
                if not self._unindexed:
                    return
                task = self._next(backwards=backwards)
            match task:
                case Range():
                    try:
                        checkpoint.fill(connection, task.views, task.after, task.upto)
                    finally:
                        self._end(task)
                case View():
                    _finish(connection, task)
                case None:
                    stop.wait(_IDLE_SECONDS)

    def cancel(self) -> None:
        """End the statements that run: an index may take minutes."""
        for connection in self._connections:
            if not connection.closed:
                connection.cancel_safe(timeout=5)

    def _next(self, *, backwards: bool) -> Range | View | None:
        for view, queue in self._in_order.items():
            is_due = not self._ranges or (queue and queue[0].after < self._ranges[0].after)
            if queue and is_due and view not in self._followed:
                self._followed.add(view)
                return queue.popleft()
        if self._ranges:
            return self._ranges.pop() if backwards else self._ranges.popleft()
        for view in self._unindexed:
            if not self._left[view]:
                self._unindexed.remove(view)
                return view
        return None

    def _end(self, task: Range) -> None:
        with self._lock:
            self._count(task, -1)
            self._followed -= set(task.views)
            self._done += task.events

    def _count(self, task: Range, by: int) -> None:
        for view in task.views:
            self._left[view] += by


def _ranges(
    views: Sequence[View], filled: Mapping[str, Filled], head: int, step: int
) -> list[Range]:
    """What the views lack, in order, cut where one of them lacks what another has."""
    edges = {edge for view in views for edge in filled[view.name].edges if edge < head}
    cuts = sorted({0, head, *range(0, head, step), *edges})
    found = []
    for after, upto in itertools.pairwise(cuts):
        lacking = tuple(view for view in views if not filled[view.name].holds(upto))
        if lacking:
            found.append(Range(after, upto, lacking))
    return found


def _finish(connection: psycopg.Connection[Any], view: View) -> None:
    shadow.add_indexes(connection, view)
    # Before anyone reads it: without statistics plans would be guesses.
    analyze = sql.SQL("ANALYZE {}").format(sql.Identifier(shadow.shadow_name(view)))
    connection.execute(analyze)
