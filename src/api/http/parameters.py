"""Query parameters that several routes have in common."""

from typing import Annotated

from litestar.params import QueryParameter

from api.http.ids import ID_PATTERN

AccountParameter = Annotated[
    str | None, QueryParameter(pattern=ID_PATTERN, description="Only that account's.")
]
