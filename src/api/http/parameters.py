"""Query parameters: those that several routes have in common, and none that a route lacks."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from api.http.ids import ID_PATTERN
from api.problems.refusals import FieldProblem, InvalidInputError
from api.texts.i18n import msg

NAME_CHARACTERS_MAX = 100
NAMED_MAX = 20
"""The most wrong parameters that one answer names."""

_parameters: dict[Callable[..., Any], Mapping[str, bool]] = {}

AccountParameter = Annotated[
    str | None, QueryParameter(pattern=ID_PATTERN, description="Only that account's.")
]


async def strict_query(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """A guard: every parameter is one of the route's own, and given once where it is no list.

    A filter that was mistyped would otherwise widen the answer. Raises `InvalidInputError`.
    """
    if not connection.scope["query_string"]:
        return
    if wrong := tuple(islice(_wrong(connection, _known(handler)), NAMED_MAX)):
        raise InvalidInputError(*wrong)


def _wrong(
    connection: ASGIConnection[Any, Any, Any, Any], known: Mapping[str, bool]
) -> Iterator[FieldProblem]:
    for name, values in sorted(connection.query_params.dict().items()):
        if name not in known:
            yield FieldProblem(name[:NAME_CHARACTERS_MAX], msg("There is no such parameter."))
        elif len(values) > 1 and not known[name]:
            yield FieldProblem(name, msg("Is given more than once."))


def _known(handler: BaseRouteHandler) -> Mapping[str, bool]:
    """The route's own parameters; true where one is a list."""
    # By its function, which there is one of: guards are handed a fresh copy of the handler.
    if (known := _parameters.get(handler.fn)) is None:
        known = _parameters[handler.fn] = _parameters_of(handler)
    return known


def _parameters_of(handler: BaseRouteHandler) -> Mapping[str, bool]:
    return {
        field.kwarg_definition.name or name: field.is_non_string_sequence
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }
