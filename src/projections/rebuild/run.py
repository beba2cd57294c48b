"""A rebuild from beginning to end: fill, index, level, swap; cut short, it goes on from there."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg

from ledger.driver import first_message
from ledger.log import select_head
from projections.errors import RebuildInterruptedError, RebuildRefusedError
from projections.rebuild import checkpoint, shadow, swap
from projections.rebuild.filling import RANGE, Filling
from projections.views import View

CONNECTIONS = 2
"""So many fill side by side: one from the log's beginning, one from its end."""

SWAP_SECONDS_MAX = 300.0
"""How long readers in the way are tried again."""

NEAR = 1_000
"""With so few events left, the swap itself may fold them."""

_LOCK = 0x6D69_6E74_7265  # "mintre"; neither the log's writers' nor the migrations' number
_FILLERS_LOCK = _LOCK + 1
# Until the server has noticed that one before us is gone.
_LOCK_WAIT = b"SET lock_timeout = '3s'"
_BE_ALONE = f"SELECT pg_advisory_lock({_LOCK})".encode()
_NO_FILLERS = (
    f"SELECT pg_advisory_lock({_FILLERS_LOCK}), pg_advisory_unlock({_FILLERS_LOCK})".encode()
)
_FILLER = f"SELECT pg_advisory_lock_shared({_FILLERS_LOCK})".encode()
_PAUSE_SECONDS = 0.1
_LEVEL_ROUNDS_MAX = 1_000
_OPTIONS = (
    b"SET work_mem = '64MB'",
    b"SET maintenance_work_mem = '256MB'",
    # Two indexes are built side by side already.
    b"SET max_parallel_maintenance_workers = 0",
    # What we have left running when we were killed ends by itself.
    b"SET client_connection_check_interval = '1s'",
    b"SET statement_timeout = 0",
    # Good enough until autovacuum looks for itself, and a third of the time.
    b"SET default_statistics_target = 30",
)


class Progress(msgspec.Struct, frozen=True):
    """How far it is, in events of all views together; `phase` is what is being done."""

    phase: str
    done: int
    total: int


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild did: `resumed_at` is how many events an earlier one had filled already."""

    views: tuple[str, ...]
    position: int
    events: int
    resumed_at: int
    seconds: float


class Rebuild:
    """Makes `views` anew from the log, as the role that owns them, while the service goes on."""

    def __init__(
        self,
        url: str,
        views: Sequence[View],
        *,
        restart: bool = False,
        step: int = RANGE,
        tell: Callable[[Progress], None] = lambda _: None,
        swap_seconds_max: float = SWAP_SECONDS_MAX,
    ) -> None:
        """`restart` throws away what an interrupted rebuild has filled."""
        self._url = url
        self._views = tuple(views)
        self._restart = restart
        self._step = step
        self._tell = tell
        self._swap_seconds_max = swap_seconds_max

    def run(self) -> Rebuilt:
        """Returns once the new tables are in place. Raises a `RebuildError` before that."""
        started = time.monotonic()
        try:
            with self._connect() as connection:
                _be_alone(connection)
                resumed_at = self._begin(connection)
                self._fill(connection)
                position = self._swap(connection)
        except psycopg.Error as error:
            cause = f"the database did not go along: {first_message(error)}"
            raise RebuildInterruptedError(cause) from error
        return Rebuilt(
            views=tuple(view.name for view in self._views),
            position=position,
            events=position * len(self._views) - resumed_at,
            resumed_at=resumed_at,
            seconds=round(time.monotonic() - started, 3),
        )

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=10,
            application_name="mintage rebuild",
            # A server that has vanished without a word is noticed, also while an index is built.
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=60_000,
        )
        for option in _OPTIONS:
            connection.execute(option)
        return connection

    def _begin(self, connection: psycopg.Connection[Any]) -> int:
        for view in self._views:
            shadow.check(connection, view)
        found = [checkpoint.begin(connection, v, restart=self._restart) for v in self._views]
        return sum(found)

    def _fill(self, connection: psycopg.Connection[Any]) -> None:
        """Everything that the log has now, and the indexes; side by side."""
        head = select_head(connection)
        filled = checkpoint.filled(connection)
        lacking = {v.name: shadow.lacking_indexes(connection, v) for v in self._views}
        filling = Filling(self._views, filled, lacking, head, self._step)
        stop = threading.Event()
        with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="rebuild") as threads:
            working = [
                threads.submit(self._work, filling, stop, backwards=bool(number % 2))
                for number in range(CONNECTIONS)
            ]
            try:
                while not all(each.done() for each in working):
                    self._tell(Progress(filling.phase, filling.done, head * len(self._views)))
                    if any(each.done() and each.exception() for each in working):
                        break
                    time.sleep(_PAUSE_SECONDS)
            finally:
                stop.set()
                filling.cancel()
        # The first that failed by itself: the others have been canceled for it.
        errors = [error for each in working if (error := each.exception())]
        for error in sorted(errors, key=lambda e: isinstance(e, psycopg.errors.QueryCanceled)):
            raise error
        self._tell(Progress("filled", filling.done, head * len(self._views)))

    def _work(self, filling: Filling, stop: threading.Event, *, backwards: bool) -> None:
        with self._connect() as connection:
            connection.execute(_FILLER)
            filling.work(connection, stop, backwards=backwards)

    def _swap(self, connection: psycopg.Connection[Any]) -> int:
        deadline = time.monotonic() + self._swap_seconds_max
        patience = swap.LOCK_MILLISECONDS_MAX
        while True:
            head = self._level(connection)
            self._tell(Progress("swapping", head * len(self._views), head * len(self._views)))
            if swap.try_swap(connection, self._views, milliseconds_max=patience):
                swap.drop_replaced(connection, self._views)
                return head
            holders = swap.holders(connection, self._views)
            vacuums = bool(holders) and all(holders.values())
            patience = swap.VACUUM_MILLISECONDS_MAX if vacuums else swap.LOCK_MILLISECONDS_MAX
            if time.monotonic() > deadline:
                pids = ", ".join(map(str, holders)) or "none now"
                raise RebuildInterruptedError(
                    f"the views were in use for {self._swap_seconds_max:g} s "
                    f"(server processes: {pids})"
                )
            time.sleep(_PAUSE_SECONDS)

    def _level(self, connection: psycopg.Connection[Any]) -> int:
        """Fold what has been written meanwhile until little is left; returns where that is."""
        for _ in range(_LEVEL_ROUNDS_MAX):
            head = select_head(connection)
            filled = checkpoint.filled(connection)
            for view in self._views:
                at = filled[view.name].position
                while at < head:
                    upto = min(head, at + self._step)
                    checkpoint.fill(connection, [view], at, upto)
                    at = upto
            if select_head(connection) - head <= NEAR:
                return head
        raise RebuildInterruptedError("the log grows faster than it can be folded")


def _be_alone(connection: psycopg.Connection[Any]) -> None:
    try:
        connection.execute(_LOCK_WAIT)
        connection.execute(_BE_ALONE)
        connection.execute(_NO_FILLERS)
        connection.execute(b"RESET lock_timeout")
    except psycopg.errors.LockNotAvailable:
        raise RebuildRefusedError("another rebuild is running: wait until it has ended") from None
