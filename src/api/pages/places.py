"""Where to go next: addresses of ours that came by way of a browser."""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Request
from litestar.params import QueryParameter

from api.http.ids import QUERY_CHARACTERS_MAX

HOME = "/generate"
_CHARACTERS_MAX = 500
# Nothing that a browser could take for another host, whatever it does with backslashes.
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")

PartParameter = Annotated[
    str | None, QueryParameter(max_length=QUERY_CHARACTERS_MAX, pattern=r"^[^\u0000-\u001f]*$")
]
"""A search field's text, which a form sends empty as well."""


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
