"""Opening the folder storage's signed links, with ranges. S3 serves its own."""

import re
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, Response, route
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from api.problems.problem import Problem
from api.problems.refusals import NotFoundError
from api.services import Services
from api.texts.i18n import locale_of, msg
from generation.folder import FolderStorage
from generation.storage import content_disposition

CHUNK_BYTES = 1_048_576
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@route("/files/{token:str}", http_method=["GET", "HEAD"], include_in_schema=False)
async def open_link(
    request: Request[Any, Any, Any], services: NamedDependency[Services], token: FromPath[str]
) -> Response[Any] | Stream:
    """The link is the permission; no other is asked for. One range at most is honoured."""
    storage = services.storage
    if not isinstance(storage, FolderStorage):
        raise NotFoundError
    link = await services.threads.store(storage.open_link, token)
    size = (await services.threads.store(storage.stat, link.key)).bytes
    first, last = 0, size - 1
    wanted = request.headers.get("Range")
    match = _RANGE.fullmatch(wanted) if wanted else None
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=300, immutable",
        # Nothing in a picture may run, should a browser be talked into opening it as a page.
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if match and (match[1] or match[2]):
        first, last = _bounds(match[1], match[2], size)
        if first > last:
            return _unsatisfiable(request, size)
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    headers["Content-Length"] = str(last - first + 1)
    if link.download_name is not None:
        headers["Content-Disposition"] = content_disposition(link.download_name)

    async def chunks() -> AsyncIterator[bytes]:
        for offset in range(first, last + 1, CHUNK_BYTES):
            length = min(CHUNK_BYTES, last + 1 - offset)
            yield await services.threads.store(storage.get, link.key, offset=offset, length=length)

    body = chunks() if request.method == "GET" else _nothing()
    status = 206 if "Content-Range" in headers else 200
    return Stream(body, status_code=status, media_type=link.mime_type, headers=headers)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:  # the last so many bytes
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def _unsatisfiable(request: Request[Any, Any, Any], size: int) -> Response[Any]:
    problem = Problem(
        code="INVALID_INPUT",
        status=416,
        detail=msg("The range lies outside the file."),
        headers={"Content-Range": f"bytes */{size}"},
    )
    return problem.response(locale_of(request.headers.get("Accept-Language")), request.url.path)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
