"""Style and script, served under addresses that change with their content.

All of them have one version in their path, so that a module finds the others beside itself.
"""

import hashlib
from pathlib import Path

from litestar import Response, get
from litestar.params import FromPath

from api.problems.refusals import NotFoundError

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILES = {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir())}
VERSION = hashlib.sha256(
    b"".join(name.encode() + b"\0" + data for name, data in _FILES.items())
).hexdigest()[:16]


def asset(name: str) -> str:
    """The address of a file that is there."""
    assert name in _FILES, name
    return f"/static/{VERSION}/{name}"


@get("/static/{version:str}/{name:str}", include_in_schema=False, sync_to_thread=False)
def serve(version: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """For a year; of another version, while processes are replaced, what there is now."""
    data = _FILES.get(name)
    if data is None:
        raise NotFoundError
    lasting = "public, max-age=31536000, immutable" if version == VERSION else "no-cache"
    return Response(data, media_type=_TYPES[Path(name).suffix], headers={"Cache-Control": lasting})
