"""How many exports one process gives at a time: each holds a piece of its answer in memory."""

from collections import Counter

from api.problems.refusals import TooManyExportsError

EXPORTS_MAX = 8


class ExportSlots:
    """Counts those under way, `each_max` of them at most for one taker. On the event loop only."""

    def __init__(self, each_max: int = EXPORTS_MAX) -> None:
        self._each_max = each_max
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """How many are under way."""
        return self._taken.total()

    def take(self, taker: str) -> None:
        """Begin one. Raises `TooManyExportsError`."""
        if self.taken >= EXPORTS_MAX or self._taken[taker] >= self._each_max:
            raise TooManyExportsError
        self._taken[taker] += 1

    def give_back(self, taker: str) -> None:
        """One of that taker has ended."""
        self._taken[taker] -= 1
        if not self._taken[taker]:
            del self._taken[taker]
