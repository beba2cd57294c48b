"""Problems and headers as the OpenAPI document tells of them, with an example of each code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
)

from api.problems.field_errors import BODY
from api.problems.problem import CODES, MEDIA_TYPE, Problem
from api.texts.i18n import msg


class FieldError(msgspec.Struct, frozen=True):
    """One field that is not as it must be."""

    field: str
    message: str


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457. `code` never changes; `title` and `detail` are in the caller's language."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
    cost: int | msgspec.UnsetType = msgspec.UNSET
    available: int | msgspec.UnsetType = msgspec.UNSET
    failing: list[str] | msgspec.UnsetType = msgspec.UNSET


@dataclass
class _Example(Example):
    """An example whose `id` is its key, and nothing else: OpenAPI knows no such member."""

    @property
    def _exclude_fields(self) -> set[str]:
        return {"id"}


_MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "INSUFFICIENT_TOKENS": {"cost": 10, "available": 5},
    "INVALID_INPUT": {
        "errors": [{"field": "count", "message": msg("Must be at most {value}.", value=4)}]
    },
    "PRICE_CHANGED": {"cost": 10},
}
_WITH = {
    "RATE_LIMITED": " with `Retry-After`, in seconds",
    "UNAVAILABLE": " with `Retry-After`, in seconds; what was asked may have been done",
    "UNAUTHENTICATED": " with `WWW-Authenticate`",
}
_ALWAYS = ("INVALID_INPUT", "UNAUTHENTICATED", "FORBIDDEN", "UNAVAILABLE", "UNKNOWN")


def problems(*codes: str) -> dict[int, ResponseSpec]:
    """The answers of those codes, and of nothing else."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(code)
    if "INVALID_INPUT" in codes:
        by_status.setdefault(400, []).append("INVALID_INPUT")
    return {
        status: ResponseSpec(
            data_container=ProblemDocument,
            description=" · ".join(f"`{code}`{_WITH.get(code, '')}" for code in sorted(set(group))),
            media_type=MEDIA_TYPE,
            generate_examples=False,
            examples=[_example(code, status) for code in group],
        )
        for status, group in sorted(by_status.items())
    }


def refusals(*codes: str) -> dict[int, ResponseSpec]:
    """The answers of those codes, with those that every route with a caller has."""
    return problems(*codes, *(code for code in _ALWAYS if code not in codes))


def header(name: str, description: str) -> ResponseHeader:
    """A header that the handler sets itself."""
    # The value is there for its type alone.
    return ResponseHeader(name=name, value="", description=description, documentation_only=True)


def add_to_answer(
    operation: Operation,
    *,
    content: Mapping[str, OpenAPIMediaType],
    headers: Mapping[str, OpenAPIHeader],
) -> None:
    """Tell what else the answer of a handler may be, beside the document that its type says."""
    answer = (operation.responses or {})["200"]
    assert isinstance(answer, OpenAPIResponse)
    answer.content = {**(answer.content or {}), **content}
    answer.headers = {**(answer.headers or {}), **headers}


def _example(code: str, status: int) -> Example:
    if status == 400:  # noqa: PLR2004 - the one code with two statuses
        members: Mapping[str, Any] = {
            "errors": [{"field": BODY, "message": msg("The body cannot be read.")}]
        }
    else:
        members = _MEMBERS.get(code, {})
    problem = Problem(code=code, detail=CODES[code].title, status=status, members=members)
    document = problem.document("en", "/v1/generations")
    return _Example(id=f"{code}_{status}", summary=code, value=msgspec.to_builtins(document))
