"""Waking an event loop when the server answers or a command comes, as a bell wakes a thread."""

import asyncio
import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterable

from ledger.bell import Watched


class LoopBell:
    """Calls back on its event loop. Any thread may ring; all else but `close` is for the loop.

    It watches duplicates of the descriptors: who closes one need not ask, or wait for, the loop.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, woken: Callable[["LoopBell", Watched | None], None]
    ) -> None:
        """Make it on the loop. `woken` is told by whom, and what is ready.

        That is None when it was rung, or when time is up.
        """
        self.loop = loop
        self.goes_on = False
        """Whether the next step is called for already, after a turn of the loop."""
        self._thread = threading.get_ident()
        self._woken = woken
        self._rung = False
        self._wanted: dict[Watched, int] = {}
        self._watching: dict[Watched, _Duplicate] = {}
        self._timer: asyncio.TimerHandle | None = None

    def ring(self) -> None:
        """Have the loop called back soon; one that has ended is not called any more."""
        if not self._rung:
            self._rung = True
            with contextlib.suppress(RuntimeError):  # it is closed
                self.loop.call_soon_threadsafe(self._heard)

    @property
    def is_heard(self) -> bool:
        """Whether the loop runs, and so may call back."""
        return self.loop.is_running()

    @property
    def is_here(self) -> bool:
        """Whether this is the loop's own thread."""
        return threading.get_ident() == self._thread and self.is_heard

    def watch(self, others: Iterable[tuple[Watched, int]], seconds: float | None) -> None:
        """From now on call back when one of `others` (with poll's events, or 0) is ready.

        Or after so many seconds, if nothing else has changed that before.
        """
        self._wanted = wanted = dict(others)
        for watched, events in wanted.items():
            duplicate = self._watching.get(watched)
            if events and duplicate is None:
                duplicate = self._watching[watched] = _Duplicate(self.loop, watched)
            if duplicate and events & ~duplicate.events:
                duplicate.listen(events, self._ready)
        if len(self._watching) > len(wanted) or not self._watching.keys() <= wanted.keys():
            for watched in self._watching.keys() - wanted.keys():
                self._watching.pop(watched).close()
        if seconds is not None:
            self._set_timer(self.loop.time() + seconds)

    def close(self) -> None:
        """Call back no more."""
        if self.is_here:
            self._give_up()
            return
        try:
            self.loop.call_soon_threadsafe(self._give_up)
        except RuntimeError:  # it is closed
            self._give_up()

    def _heard(self) -> None:
        self._rung = False
        self._woken(self, None)

    def _ready(self, watched: Watched, event: int) -> None:
        if self._wanted.get(watched, 0) & event:
            self._woken(self, watched)
        elif duplicate := self._watching.get(watched):
            duplicate.ignore(event)  # not before: it may be wanted again, as it mostly is

    def _set_timer(self, when: float) -> None:
        # One that is early does no harm, and is cheaper than a new one each time.
        if self._timer and self._timer.when() <= when:
            return
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_at(when, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._woken(self, None)

    def _give_up(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._wanted.clear()
        while self._watching:
            self._watching.popitem()[1].close()


class _Duplicate:
    """A descriptor of our own for what is watched."""

    def __init__(self, loop: asyncio.AbstractEventLoop, watched: Watched) -> None:
        self.events = 0
        self._loop = loop
        self._watched = watched
        self._descriptor = os.dup(watched.fileno())

    def listen(self, events: int, ready: Callable[[Watched, int], None]) -> None:
        added = events & ~self.events
        if added & select.POLLIN:
            self._loop.add_reader(self._descriptor, ready, self._watched, select.POLLIN)
        if added & select.POLLOUT:
            self._loop.add_writer(self._descriptor, ready, self._watched, select.POLLOUT)
        self.events |= added

    def ignore(self, events: int) -> None:
        if events & select.POLLIN:
            self._loop.remove_reader(self._descriptor)
        if events & select.POLLOUT:
            self._loop.remove_writer(self._descriptor)
        self.events &= ~events

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.ignore(self.events)
        os.close(self._descriptor)
