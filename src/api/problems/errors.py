"""One table from every exception to a problem document. Nothing else decides codes."""

from collections.abc import Callable
from typing import Any

import psycopg
import psycopg_pool
import structlog
from eventsourcing import persistence
from litestar import Request, Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    InternalServerException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from api.generations.watcher import TooManyWatchedError
from api.http.about import note
from api.problems import refusals
from api.problems.field_errors import BODY, describe
from api.problems.problem import RETRY_SECONDS, Problem
from api.problems.refusals import FieldProblem
from api.texts.i18n import Message, locale_of, msg
from api.threads import DatabaseDownError
from generation.links import LinkRefusedError
from generation.pictures import UnsupportedPictureError
from generation.storage import ObjectNotFoundError, StorageError
from ledger import errors as ledger
from projections.errors import (
    AfterLogError,
    BeforeAccountError,
    UnknownAccountError,
    ViewsBehindError,
)

EXPORT_RETRY_SECONDS = 10
STREAM_RETRY_SECONDS = 30

_log = structlog.get_logger("api.errors")
_TABLE: dict[type[Exception], Callable[[Any], Problem]] = {}


def problem_of(error: Exception) -> Problem:
    """The problem that the error is answered with; `UNKNOWN` where none is written down."""
    for kind in type(error).__mro__:
        if found := _TABLE.get(kind):
            return found(error)
    return Problem(code="UNKNOWN", detail=msg("Something went wrong on our side."))


def told(error: Exception) -> Problem:
    """The problem of an error. Its cause is logged here and goes no further."""
    problem = problem_of(error)
    if problem.code == "UNKNOWN":
        _log.error("unhandled error", exc_info=error)
    elif problem.code == "UNAVAILABLE":
        _log.warning("unavailable", error=type(error).__name__, cause=str(error)[:300])
    note(code=problem.code)
    return problem


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Any error as a problem document."""
    problem = told(error)
    locale = locale_of(request.headers.get("Accept-Language"))
    return problem.response(locale, request.url.path)


def _fixed(code: str, detail: Message, **more: Any) -> Callable[[Any], Problem]:
    problem = Problem(code=code, detail=detail, **more)
    return lambda _: problem


def _field(field: str, message: Message) -> Problem:
    return _invalid((FieldProblem(field, message),))


def _invalid(fields: tuple[FieldProblem, ...], status: int | None = None) -> Problem:
    names = ", ".join(problem.field for problem in fields)
    detail = msg("The input is not valid: {fields}.", fields=names)
    return Problem(
        code="INVALID_INPUT", status=status, detail=detail, members={"errors": list(fields)}
    )


_BAD_BODY = _invalid((FieldProblem(BODY, msg("The body cannot be read.")),), 400)
_TOO_LARGE = _fixed("PAYLOAD_TOO_LARGE", msg("The request is larger than allowed."))
_NOT_FOUND = _fixed("NOT_FOUND", msg("There is nothing here, or it is not yours."))
_UNAVAILABLE = _fixed(
    "UNAVAILABLE",
    msg("A part of the service does not answer. Try again with the same key in a moment."),
    headers={"Retry-After": str(RETRY_SECONDS)},
)


def _from_litestar(error: ValidationException) -> Problem:
    """Litestar's own checks: of parameters, and of a body that is missing altogether."""
    given = error.extra if isinstance(error.extra, list) else []
    fields = tuple(
        FieldProblem(str(each.get("key", BODY)), describe(str(each.get("message", ""))))
        for each in given
        if isinstance(each, dict)
    )
    if not fields or any(problem.field == "data" for problem in fields):
        return _BAD_BODY
    return _invalid(fields)


def _from_http(error: HTTPException) -> Problem:
    if error.status_code < 500:  # noqa: PLR2004 - where the server's own faults begin
        return _BAD_BODY
    return Problem(code="UNKNOWN", detail=msg("Something went wrong on our side."))


def _internal(error: InternalServerException) -> Problem:
    # Litestar's only word for a caller who hung up in the middle of the body.
    return _BAD_BODY if "disconnected" in error.detail else _from_http(error)


def _out_of_range(error: ledger.AmountOutOfRangeError) -> Problem:
    return _field(
        error.field,
        msg("Must lie between {low} and {high}.", low=error.minimum, high=error.maximum),
    )


def _before_account(error: BeforeAccountError) -> Problem:
    began = error.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    message = msg(
        "The account began at position {position}, {time}.", position=error.position, time=began
    )
    return _field(error.field, message)


def _after_log(error: AfterLogError) -> Problem:
    if error.field == "at":
        return _field("at", msg("Lies in the future."))
    return _field(error.field, msg("The log ends at position {position}.", position=error.position))


def _insufficient(error: ledger.InsufficientTokensError) -> Problem:
    numbers = {"cost": error.cost, "available": error.available}
    return Problem(
        code="INSUFFICIENT_TOKENS",
        detail=msg("Not enough tokens: {cost} needed, {available} available.", **numbers),
        members=numbers,
    )


def _price_changed(error: ledger.PriceChangedError) -> Problem:
    return Problem(
        code="PRICE_CHANGED",
        detail=msg(
            "The price has changed: it costs {cost} now. Nothing was charged.", cost=error.cost
        ),
        members={"cost": error.cost},
    )


def _rate_limited(error: ledger.RateLimitedError) -> Problem:
    seconds = error.retry_after_seconds
    return Problem(
        code="RATE_LIMITED",
        detail=msg("Too many generations: try again in {seconds} seconds.", seconds=seconds),
        headers={"Retry-After": str(seconds)},
    )


def _too_many_logins(error: refusals.TooManyLoginsError) -> Problem:
    return Problem(
        code="RATE_LIMITED",
        detail=msg("Too many logins: try again in {seconds} seconds.", seconds=error.seconds),
        headers={"Retry-After": str(error.seconds)},
    )


def _beside(error: ledger.BesideConflictError) -> Problem:
    if error.constraint == "profiles_email_key":
        return Problem(code="CONFLICT", detail=msg("Another account has this e-mail address."))
    return Problem(code="CONFLICT", detail=msg("It exists already."))


def _too_large_picture(error: refusals.PictureTooLargeError) -> Problem:
    detail = msg("The reference image has more than {maximum} bytes.", maximum=error.maximum)
    return Problem(code="PAYLOAD_TOO_LARGE", detail=detail)


def _not_ready(error: refusals.NotReadyError) -> Problem:
    parts = ", ".join(error.failing)
    return Problem(
        code="UNAVAILABLE",
        detail=msg("Not answering: {parts}.", parts=parts),
        members={"failing": list(error.failing)},
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


_KEY_REUSED = _fixed(
    "IDEMPOTENCY_KEY_REUSED", msg("This idempotency key was used before, with other input.")
)

_TABLE |= {
    # The ledger's refusals.
    ledger.AccountNotFoundError: _NOT_FOUND,
    ledger.AccountExistsError: _fixed("CONFLICT", msg("An account with this id exists already.")),
    ledger.AmountOutOfRangeError: _out_of_range,
    ledger.GenerationNotFoundError: _NOT_FOUND,
    ledger.InsufficientTokensError: _insufficient,
    ledger.KeyReusedError: _KEY_REUSED,
    ledger.MembershipRequiredError: _fixed(
        "MEMBERSHIP_REQUIRED", msg("This prompt is for members only.")
    ),
    ledger.PriceChangedError: _price_changed,
    ledger.RateLimitedError: _rate_limited,
    ledger.ReferenceUsedError: _fixed(
        "CONFLICT", msg("This reference was granted to the account before.")
    ),
    ledger.AlreadyRefundedError: _fixed("CONFLICT", msg("This generation was refunded before.")),
    ledger.UnstorableTextError: lambda _: _field(BODY, msg("Has a NUL character in a text.")),
    ledger.BesideConflictError: _beside,
    ledger.TermsChangedError: _UNAVAILABLE,
    ledger.LedgerUnavailableError: _UNAVAILABLE,
    ledger.LedgerBusyError: _UNAVAILABLE,
    # The edge's own.
    refusals.BadBodyError: lambda _: _BAD_BODY,
    refusals.InvalidInputError: lambda error: _invalid(error.fields),
    refusals.UnauthenticatedError: _fixed(
        "UNAUTHENTICATED",
        msg("Log in, or send a valid API key."),
        headers={"WWW-Authenticate": "Bearer"},
    ),
    refusals.ForbiddenError: lambda error: Problem(code="FORBIDDEN", detail=error.why),
    refusals.NotFoundError: _NOT_FOUND,
    refusals.PromptNotFoundError: _fixed(
        "PROMPT_NOT_FOUND", msg("This prompt does not exist any more. Choose another.")
    ),
    refusals.KeyReusedByOtherInputError: _KEY_REUSED,
    refusals.ConflictError: lambda error: Problem(code="CONFLICT", detail=error.why),
    refusals.PictureTooLargeError: _too_large_picture,
    refusals.TooManyLoginsError: _too_many_logins,
    refusals.TooManyStreamsError: _fixed(
        "RATE_LIMITED",
        msg("Too many open pages: close one, then try again."),
        headers={"Retry-After": str(STREAM_RETRY_SECONDS)},
    ),
    refusals.ReadNotRecordedError: _fixed(
        "UNAVAILABLE",
        msg("This read could not be recorded, so it is not answered."),
        headers={"Retry-After": str(RETRY_SECONDS)},
    ),
    refusals.TooManyExportsError: _fixed(
        "RATE_LIMITED",
        msg("Too many exports at once: try again when one has ended."),
        headers={"Retry-After": str(EXPORT_RETRY_SECONDS)},
    ),
    refusals.ExportCutError: _UNAVAILABLE,
    refusals.NotReadyError: _not_ready,
    TooManyWatchedError: _UNAVAILABLE,
    DatabaseDownError: _UNAVAILABLE,
    # Pictures and storage.
    UnsupportedPictureError: _fixed(
        "UNSUPPORTED_IMAGE", msg("The reference image is not a readable JPEG, PNG or WebP.")
    ),
    LinkRefusedError: _fixed("FORBIDDEN", msg("This link is not valid, or has expired.")),
    ObjectNotFoundError: _NOT_FOUND,
    StorageError: _UNAVAILABLE,
    # The database and the views.
    psycopg.OperationalError: _UNAVAILABLE,
    psycopg.InterfaceError: _UNAVAILABLE,
    psycopg_pool.PoolTimeout: _UNAVAILABLE,
    psycopg_pool.PoolClosed: _UNAVAILABLE,
    persistence.OperationalError: _UNAVAILABLE,
    persistence.InterfaceError: _UNAVAILABLE,
    persistence.ConnectionPoolClosedError: _UNAVAILABLE,
    ViewsBehindError: _UNAVAILABLE,
    UnknownAccountError: _NOT_FOUND,
    BeforeAccountError: _before_account,
    AfterLogError: _after_log,
    # Litestar's.
    ValidationException: _from_litestar,
    RequestEntityTooLarge: _TOO_LARGE,
    NotFoundException: _NOT_FOUND,
    MethodNotAllowedException: lambda error: Problem(
        code="METHOD_NOT_ALLOWED",
        detail=msg("This address does not take this method."),
        headers=dict(error.headers or {}),
    ),
    ClientException: _from_http,
    InternalServerException: _internal,
    HTTPException: _from_http,
}
