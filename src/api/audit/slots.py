"""How many exports one process gives at a time: each holds a piece of its answer in memory."""

from api.problems.refusals import TooManyExportsError

EXPORTS_MAX = 8


class ExportSlots:
    """Counts those under way. Used on the event loop only."""

    def __init__(self) -> None:
        self._taken = 0

    def take(self) -> None:
        """Begin one. Raises `TooManyExportsError`."""
        if self._taken >= EXPORTS_MAX:
            raise TooManyExportsError
        self._taken += 1

    def give_back(self) -> None:
        """One has ended."""
        self._taken -= 1
