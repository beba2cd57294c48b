"""Events as lines: NDJSON for machines, CSV for spreadsheets.

Neither passes for whole when it was cut off: NDJSON has a last line that says how many stood
before it, and of a CSV the number of rows is known beforehand.
"""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from projections.audit.events import Event

COLUMNS = ("position", "account_id", "version", "type", "at", "actor", "data")

# What a spreadsheet would run, behind blanks too; also in the full width of Chinese input.
_FORMULA = re.compile(r"[\s\u200b\ufeff]*[=+\-@＝＋－＠]|[\t\r\n]")
_encoder = msgspec.json.Encoder()


class Format(Protocol):
    """How an export is written down."""

    def head(self) -> bytes:
        """What stands before the first event."""
        ...

    def lines(self, events: Sequence[Event]) -> bytes:
        """Some events."""
        ...

    def tail(self, count: int) -> bytes:
        """What stands after the last of so many events."""
        ...


class Ndjson:
    """An object a line."""

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def lines(self, events: Sequence[Event]) -> bytes:
        """A line each, as it is in a page's `items`."""
        return _encoder.encode_lines(events)

    def tail(self, count: int) -> bytes:
        """The line without which it was cut off."""
        return _encoder.encode_lines([{"end": True, "count": count}])


class Csv:
    """A row an event, as RFC 4180 has it; `data` is JSON in one cell."""

    def head(self) -> bytes:
        """The columns' names."""
        return rows([COLUMNS])

    def lines(self, events: Sequence[Event]) -> bytes:
        """A row each."""
        return rows(
            [
                (
                    event.position,
                    cell(event.account_id),
                    event.version,
                    event.type,
                    event.at,
                    cell(event.actor),
                    cell(bytes(event.data).decode()),
                )
                for event in events
            ]
        )

    def tail(self, count: int) -> bytes:
        """Nothing: how many rows there are was told before the first."""
        del count
        return b""


def cell(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def rows(cells: Sequence[Sequence[Any]]) -> bytes:
    """The rows as RFC 4180 has them; texts that others have written go through `cell` before."""
    out = io.StringIO()
    csv.writer(out).writerows(cells)
    return out.getvalue().encode()
