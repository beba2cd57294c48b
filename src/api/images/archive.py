"""`GET /v1/images/download`: many images as one zip, in constant memory.

It is a GET with its ids in the address, so that a plain form without a script can ask for it. The
length is known beforehand: whatever is cut off is seen to be cut off.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from zipstream import ZipStream

from api.http.exports import Export
from api.http.principals import Principal
from api.images.naming import download_name
from api.openapi.documented import header, refusals
from api.problems.field_errors import invalid
from api.problems.refusals import ExportCutError, NotFoundError
from api.services import Services
from api.texts.i18n import msg
from generation.storage import Storage, content_disposition, file_name
from projections.images import ImageRow, get_images
from projections.level import at_level

IMAGES_MAX = 100
"""With so many ids the address has 4 kB, which everything on the way takes."""

CHUNK_BYTES = 1_048_576
MEDIA_TYPE = "application/zip"


IdsParameter = Annotated[
    list[UUID] | None,
    QueryParameter(max_items=IMAGES_MAX, description="Each with an `ids=` of its own."),
]


@get(
    "/download",
    summary="Many images as one zip",
    media_type=MEDIA_TYPE,
    response_headers=[header("Content-Length", "Known before the first byte.")],
    responses={
        200: ResponseSpec(bytes, description="Stored, not deflated.", media_type=MEDIA_TYPE),
        **refusals("INVALID_INPUT", "NOT_FOUND", "RATE_LIMITED"),
    },
)
async def download_many(
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    ids: IdsParameter = None,
) -> Export:
    """The providers' bytes, unchanged, in the order of `ids`.

    One that is not the caller's makes the whole `404`. Where an object is missing or storage goes
    away in the middle, the connection is cut: a zip that came whole is whole.
    """
    return await archive_of(services, caller.account, ids)


async def archive_of(services: Services, account_id: str, ids: Sequence[UUID] | None) -> Export:
    """The zip. Raises `InvalidInputError`, `NotFoundError`, `TooManyExportsError`."""
    if not ids:
        raise invalid("ids", msg("This field is required."))
    rows = await services.threads.read_view(_find, services, account_id, list(dict.fromkeys(ids)))
    services.downloads.take(account_id)
    try:
        archive = _archive(services.storage, rows)
        pieces = _pieces(services, iter(archive))
        # The first file's head and first bytes: storage that is down is a problem, not a cut.
        begun = [await anext(pieces), await anext(pieces)]
    except BaseException:
        services.downloads.give_back(account_id)
        raise
    name = f"mintage-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip"
    return Export(
        _chained(begun, pieces),
        slots=services.downloads,
        taker=account_id,
        media_type=MEDIA_TYPE,
        headers={
            "Content-Length": str(len(archive)),
            "Content-Disposition": content_disposition(name),
        },
    )


def _find(services: Services, account_id: str, ids: list[UUID]) -> list[ImageRow]:
    with at_level(services.pool, account_id, views=("images",)) as connection:
        found = get_images(connection, account_id, ids)
    if len(found) < len(ids):
        raise NotFoundError
    return [found[image_id] for image_id in ids]


def _archive(storage: Storage, rows: list[ImageRow]) -> Any:
    archive = ZipStream(sized=True)
    digits = len(str(len(rows)))
    for number, row in enumerate(rows, 1):
        # The number makes the name unique: what follows it may be cut, or look like another's.
        name = file_name(f"{number:0{digits}}-{download_name(row)}")
        archive.add(_bytes_of(storage, row), name, size=row.record.bytes)
    return archive


def _bytes_of(storage: Storage, row: ImageRow) -> Iterator[bytes]:
    key, size = row.record.key, row.record.bytes
    for offset in range(0, size, CHUNK_BYTES):
        yield storage.get(key, offset=offset, length=min(CHUNK_BYTES, size - offset))


async def _pieces(services: Services, archive: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await services.threads.store(next, archive, None)) is not None:
        if services.watcher.closing:
            raise ExportCutError
        yield piece


async def _chained(begun: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in begun:
        yield piece
    async for piece in rest:
        yield piece
