"""Where to go next: addresses of ours that came by way of a browser."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from litestar import Request

HOME = "/generate"
_CHARACTERS_MAX = 500
# Nothing that a browser could take for another host, whatever it does with backslashes.
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def local_path(text: str | None) -> str:
    """The path, if it is one of this site; else the first page."""
    if text and len(text) <= _CHARACTERS_MAX and _LOCAL.fullmatch(text):
        return text
    return HOME


def address(path: str, query: Mapping[str, str]) -> str:
    """The path with that query."""
    return f"{path}?{urlencode(query)}" if query else path


def here(request: Request[Any, Any, Any]) -> str:
    """The path that was asked for, with its query."""
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.url.path}?{query}" if query else request.url.path
