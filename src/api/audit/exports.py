"""The whole answer of a filter, as it stood when the export began, in constant memory.

It is read piece by piece, up to a position: the log only grows behind that, so that no transaction
and no connection is held while a slow reader takes its time. Whatever goes wrong in the middle
cuts the connection, so that nobody takes a part for the whole.
"""

from collections.abc import AsyncIterator

from api.audit.formats import Format
from api.connection import Connection
from api.problems.refusals import ExportCutError
from api.services import Services
from projections.audit.events import count_in, spans
from projections.audit.pieces import Pieces
from projections.audit.walks import Walk


async def count_of(services: Services, walk: Walk, limit: int | None) -> int:
    """How many events the walk has, `limit` at most. Raises `ExportCutError`."""
    total = 0
    for span in spans(walk):
        if services.watcher.closing:
            raise ExportCutError
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
    reading = Pieces(walk, descending=descending, limit=limit)
    while not reading.is_done:
        if services.watcher.closing:
            raise ExportCutError
        if data := await services.threads.export(_read, reading, form):
            yield data
    if tail := form.tail(reading.count):
        yield tail


def _read(connection: Connection, reading: Pieces, form: Format) -> bytes:
    return form.lines(reading.read(connection))
