"""Which query parameters a route takes is read from its handler."""

import asyncio
from typing import Annotated

import pytest
from litestar import get
from litestar.connection import ASGIConnection
from litestar.params import QueryParameter

from api.http.parameters import strict_query
from api.problems.refusals import InvalidInputError


@get("/")
async def listing(
    ids: Annotated[list[str], QueryParameter(max_items=3)],
    since: Annotated[str | None, QueryParameter(name="from")] = None,
) -> None:
    del ids, since


def refused(query: str) -> list[str]:
    scope = {"type": "http", "query_string": query.encode(), "headers": []}
    try:
        asyncio.run(strict_query(ASGIConnection(scope), listing))  # type: ignore[arg-type]
    except InvalidInputError as error:
        return [problem.field for problem in error.fields]
    return []


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", []),
        ("ids=1&from=x", []),
        ("ids=1&ids=2", []),
        ("from=1&from=2&ids=1", ["from"]),
        ("since=1", ["since"]),
        ("id=1&ids=1", ["id"]),
        ("=", [""]),
    ],
)
def test_a_list_may_be_given_often_and_anything_else_once(query: str, fields: list[str]) -> None:
    assert refused(query) == fields
