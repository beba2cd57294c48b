"""What the edge itself says no with; the ledger's refusals stand in `ledger.errors`.

EdgeError
├── BadBodyError               the body is not what its content type says (400)
├── InvalidInputError          fields: each with its message
├── UnauthenticatedError
├── ForbiddenError             why
├── NotFoundError
├── PromptNotFoundError
├── KeyReusedByOtherInputError
├── ConflictError              why
├── PictureTooLargeError       maximum
├── TooManyLoginsError         seconds
├── TooManyStreamsError
├── ReadNotRecordedError
├── TooManyExportsError
├── ExportCutError
└── NotReadyError              failing: the parts that do not answer
"""

from collections.abc import Sequence

import msgspec

from api.texts.i18n import Message


class FieldProblem(msgspec.Struct, frozen=True):
    """One field that is not as it must be; nested ones are joined by dots."""

    field: str
    message: Message


class EdgeError(Exception):
    """Root of what the edge raises."""


class BadBodyError(EdgeError):
    """The body cannot be read at all."""


class InvalidInputError(EdgeError):
    """Fields are missing, unknown or out of bounds."""

    def __init__(self, *fields: FieldProblem) -> None:
        super().__init__(", ".join(problem.field for problem in fields))
        self.fields = fields


class UnauthenticatedError(EdgeError):
    """No credentials, or none that are valid."""


class ForbiddenError(EdgeError):
    """The credentials are valid but not for this."""

    def __init__(self, why: Message) -> None:
        super().__init__(why.id)
        self.why = why


class NotFoundError(EdgeError):
    """There is none, or it is another account's, which looks the same."""


class PromptNotFoundError(EdgeError):
    """No prompt has that id, or it is hidden."""


class KeyReusedByOtherInputError(EdgeError):
    """The idempotency key came with other input before."""


class ConflictError(EdgeError):
    """What stands there already forbids it."""

    def __init__(self, why: Message) -> None:
        super().__init__(why.id)
        self.why = why


class PictureTooLargeError(EdgeError):
    """The reference image has more bytes than allowed."""

    def __init__(self, maximum: int) -> None:
        super().__init__(f"more than {maximum} bytes")
        self.maximum = maximum


class TooManyLoginsError(EdgeError):
    """The account was logged in too often within a short time."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class TooManyStreamsError(EdgeError):
    """The account has as many streams open as one process gives it."""


class ReadNotRecordedError(EdgeError):
    """A read of other people's data could not be recorded, so it is not answered."""


class TooManyExportsError(EdgeError):
    """As many exports as one process gives at a time are under way."""


class ExportCutError(EdgeError):
    """The process goes down in the middle of an export."""


class NotReadyError(EdgeError):
    """Parts that the service needs do not answer."""

    def __init__(self, failing: Sequence[str]) -> None:
        super().__init__(", ".join(failing))
        self.failing = tuple(failing)
