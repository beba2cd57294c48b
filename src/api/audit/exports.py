"""The whole answer of a filter, as it stood when the export began, in constant memory.

It is read piece by piece, up to a position: the log only grows behind that, so that no transaction
and no connection is held while a slow reader takes its time. Whatever goes wrong in the middle
cuts the connection, so that nobody takes a part for the whole.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

from api.audit.formats import Format
from api.problems.refusals import ExportCutError
from api.services import Services
from api.threads import Connection
from projections.audit.events import count_in, read_slice, spans
from projections.audit.walks import Walk

PIECE = 2_000
"""Events that are read, and kept in memory, at a time."""

PIECE_WINDOWS = 10


class _Piece(NamedTuple):
    data: bytes
    events: int
    next_place: int | None


async def count_of(services: Services, walk: Walk, limit: int | None) -> int:
    """How many events the walk has, `limit` at most."""
    total = 0
    for span in spans(walk):
        total += await services.threads.export(count_in, walk, span)
        if limit is not None and total >= limit:
            return limit
    return total


async def pieces(
    services: Services, walk: Walk, form: Format, *, descending: bool, limit: int | None
) -> AsyncIterator[bytes]:
    """The export, piece by piece."""
    if head := form.head():
        yield head
    total, place = 0, None
    left = limit
    while left is None or left > 0:
        if services.watcher.closing:
            raise ExportCutError
        piece = await services.threads.export(
            _read, walk, form, place=place, descending=descending, limit=min(left or PIECE, PIECE)
        )
        total += piece.events
        if left is not None:
            left -= piece.events
        if piece.data:
            yield piece.data
        place = piece.next_place
        if place is None:
            break
    if tail := form.tail(total):
        yield tail


def _read(
    connection: Connection,
    walk: Walk,
    form: Format,
    *,
    place: int | None,
    descending: bool,
    limit: int,
) -> _Piece:
    found = read_slice(
        connection, walk, place=place, descending=descending, limit=limit, windows=PIECE_WINDOWS
    )
    return _Piece(form.lines(found.events), len(found.events), found.next_place)
