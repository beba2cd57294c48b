"""One generation from its request to its end, and a refund after that: all that the log has."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg

from ledger.facts import Attempt, GenerationFailed, GenerationRequested, ImageRecord, TokensConsumed
from ledger.identity import ending_id, refund_id
from projections.audit.lines import Line, select_lines

Outcome = Literal["open", "succeeded", "failed", "canceled"]

# Each may happen once, under an id that follows from the generation's: three look-ups.
_ENDINGS = frozenset({TokensConsumed.__name__, GenerationFailed.__name__})
_EVENTS = "SELECT * FROM ledger_events WHERE fact_id = ANY (%(ids)s)"


class _Ending(msgspec.Struct, frozen=True):
    attempts: tuple[Attempt, ...] = ()
    images: tuple[ImageRecord, ...] = ()


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A generation's events, the oldest first: its request, its ending, its refund."""

    generation_id: UUID
    asked: GenerationRequested
    request: Line
    ending: Line | None
    refund: Line | None

    @property
    def events(self) -> Sequence[Line]:
        """Those that there are, in the order of the log."""
        return [line for line in (self.request, self.ending, self.refund) if line]

    @property
    def outcome(self) -> Outcome:
        """How it ended, if it has."""
        if self.ending is None:
            return "open"
        if self.ending.type == TokensConsumed.__name__:
            return "succeeded"
        return "canceled" if self.ending.reason == "canceled" else "failed"

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The provider calls that its ending tells of."""
        return self._told.attempts

    @property
    def images(self) -> tuple[ImageRecord, ...]:
        """What came of it."""
        return self._told.images

    @property
    def _told(self) -> _Ending:
        return msgspec.json.decode(self.ending.data, type=_Ending) if self.ending else _Ending()

    @property
    def charged(self) -> int:
        """What it cost; 0 while it is open, and where it failed."""
        return -self.ending.amount if self.ending else 0

    @property
    def refunded(self) -> int:
        """What was given back of that."""
        return self.refund.amount if self.refund else 0

    @property
    def ended_at(self) -> datetime | None:
        """When, if it has."""
        return self.ending.at if self.ending else None


def story_of(connection: psycopg.Connection[Any], generation_id: UUID) -> Story | None:
    """The generation's story, or None where nobody has asked for one of that id."""
    request, ending, refund = generation_id, ending_id(generation_id), refund_id(generation_id)
    lines = select_lines(connection, _EVENTS, {"ids": [request, ending, refund]})
    by_type = {line.type: line for line in lines if line.generation_id == generation_id}
    asked = by_type.get(GenerationRequested.__name__)
    if asked is None:
        return None
    ends = [line for line in lines if line.position > asked.position]
    return Story(
        generation_id=generation_id,
        asked=msgspec.json.decode(asked.data, type=GenerationRequested),
        request=asked,
        ending=next((line for line in ends if line.type in _ENDINGS), None),
        refund=next((line for line in ends if line.type not in _ENDINGS), None),
    )
