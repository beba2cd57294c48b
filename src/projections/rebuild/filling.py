"""Who fills which range next, so that two are never idle and each page of the log is read once.

Views whose ranges may come in any order are filled together, one worker from the log's beginning
and one from its end, until they meet. The others follow, range by range, the one in front.
"""

import itertools
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from projections.rebuild import checkpoint, shadow
from projections.rebuild.checkpoint import Filled
from projections.rebuild.shadow import Index
from projections.views import View

RANGE = 25_000
"""Positions in one transaction: what is read of them fits into the server's memory."""

IN_ORDER = 40
"""So many ranges are one for a view that folds in order: it writes an account's row less often."""

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
    """Shared by the threads that fill; each range and each index is in one hand."""

    def __init__(
        self,
        views: Sequence[View],
        filled: Mapping[str, Filled],
        indexes: Mapping[str, Sequence[Index]],
        head: int,
        step: int,
    ) -> None:
        """Views hold what is `filled`, are to be filled up to `head` and lack `indexes`."""
        self._lock = threading.Lock()
        self._ranges = deque(_ranges([v for v in views if v.any_order], filled, head, step))
        self._in_order = {
            v: deque(_ranges([v], filled, head, step * IN_ORDER)) for v in views if not v.any_order
        }
        # The largest is built first: nobody waits for it in the end.
        self._indexes = {v: deque(indexes[v.name]) for v in reversed(views)}
        self._left = Counter(dict.fromkeys(views, 0))
        for queue in (self._ranges, *self._in_order.values()):
            for each in queue:
                self._left.update(each.views)
        self._in_hand: Counter[View] = Counter()
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
        while self._indexes and not stop.is_set():
            with self._lock:
                task = self._next(backwards=backwards)
            match task:
                case Range(after, upto, views):
                    checkpoint.fill(connection, views, after, upto)
                    with self._lock:
                        self._left.subtract(views)
                        self._in_hand.subtract(views)
                        self._done += task.events
                case (View() as view, Index() as index):
                    shadow.add_index(connection, index)
                    with self._lock:
                        self._in_hand[view] -= 1
                case View() as view:
                    _finish(connection, view)
                case None:
                    stop.wait(_IDLE_SECONDS)

    def cancel(self) -> None:
        """End the statements that run: an index may take minutes."""
        for connection in self._connections:
            if not connection.closed:
                connection.cancel_safe(timeout=5)

    def _next(self, *, backwards: bool) -> Range | tuple[View, Index] | View | None:
        for view, queue in self._in_order.items():
            is_due = not self._ranges or (queue and queue[0].after < self._ranges[0].after)
            if queue and is_due and not self._in_hand[view]:
                self._in_hand[view] += 1
                return queue.popleft()
        if self._ranges:
            task = self._ranges.pop() if backwards else self._ranges.popleft()
            self._in_hand.update(task.views)
            return task
        for view, indexes in self._indexes.items():
            if indexes and not self._left[view]:
                self._in_hand[view] += 1
                return view, indexes.popleft()
        for view, indexes in self._indexes.items():
            if not (indexes or self._left[view] or self._in_hand[view]):
                del self._indexes[view]
                return view
        return None


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
    shadow.add_constraints(connection, view)
    # Before anyone reads it: without statistics plans would be guesses.
    analyze = sql.SQL("ANALYZE {}").format(sql.Identifier(shadow.shadow_name(view)))
    connection.execute(analyze)
