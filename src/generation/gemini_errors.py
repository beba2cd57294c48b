"""What went wrong with a call, as a `ProviderError` that names no secret and keeps no cause."""

from http import HTTPStatus

import httpx2

from generation.gemini_http import AnswerEncodedError, AnswerTooLargeError, RefusedError
from generation.provider import ProviderError
from ledger.facts import FailureReason

MESSAGE_CHARS_MAX = 300

_ADVICE = {
    400: "the provider refuses the request; check GEMINI_MODEL and GEMINI_API_KEY",
    401: "the provider refuses the key; check GEMINI_API_KEY",
    403: "the provider refuses the key or its project; check GEMINI_API_KEY",
    404: "the provider does not know the model, which is probably retired; set GEMINI_MODEL"
    " (GEMINI_ENHANCE_MODEL) to a current one",
}


def failure_from(error: Exception, *, secret: str, model: str) -> ProviderError:
    """Tell what `error` stands for; raise it outside the handler, so that nothing chains.

    Trouble on the way (connection, time-out, 408, 429, 5xx) is retryable; a refusal of the request
    is not, nor is an answer over its limit, nor anything of a kind not known here: each of those
    would only be paid for again.
    """
    failure = _failure(error)
    failure.message = one_line(f"{model}: {failure.message}", secret)
    failure.args = (failure.message,)
    return failure


def one_line(text: str, secret: str) -> str:
    """Printable, on one line, at most `MESSAGE_CHARS_MAX` characters, without the secret."""
    text = text.replace(secret, "[key]")
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:4096]).split())
    return text if len(text) <= MESSAGE_CHARS_MAX else text[: MESSAGE_CHARS_MAX - 1] + "…"


def _failure(error: Exception) -> ProviderError:
    reason: FailureReason = "invalid_response"
    retryable = False
    match error:
        case RefusedError():
            return _refusal(error)
        case AnswerTooLargeError():
            message = "the answer is over its size limit"
        case AnswerEncodedError():
            message = "the answer is compressed, unasked"
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            reason = "provider_unavailable"
            message = "the provider's address cannot be used; check GEMINI_BASE_URL"
        case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            reason, retryable, message = "provider_unavailable", True, _no_connection(error)
        case httpx2.TimeoutException() | TimeoutError():
            reason, retryable = "timeout", True
            message = "the provider did not answer in time"
        case httpx2.TransportError() | OSError():
            reason, retryable, message = "provider_unavailable", True, _no_connection(error)
        case _:
            # Its text may hold anything, the key included.
            message = f"the call failed unexpectedly ({type(error).__name__})"
    return ProviderError(reason, retryable=retryable, message=message)


def _no_connection(error: Exception) -> str:
    return f"the connection failed ({type(error).__name__}): {error}"


def _refusal(error: RefusedError) -> ProviderError:
    code = error.code
    reason: FailureReason = "provider_unavailable"
    retryable = True
    advice = ""
    if code == HTTPStatus.TOO_MANY_REQUESTS:
        reason = "rate_limited"
    elif code == HTTPStatus.REQUEST_TIMEOUT:
        reason = "timeout"
    elif HTTPStatus.BAD_REQUEST <= code < HTTPStatus.INTERNAL_SERVER_ERROR:
        retryable, advice = False, _ADVICE.get(code, "the provider refuses the request")
    elif HTTPStatus.MULTIPLE_CHOICES <= code < HTTPStatus.BAD_REQUEST:
        retryable, advice = False, "the provider redirects elsewhere; check GEMINI_BASE_URL"
    elif code < HTTPStatus.MULTIPLE_CHOICES:
        reason = "invalid_response"
    said = " ".join(part for part in (f"HTTP {code}", error.status, error.message) if part)
    return ProviderError(
        reason,
        retryable=retryable,
        message=f"{advice}: {said}" if advice else said,
        retry_after_seconds=error.retry_after_seconds if retryable else None,
    )
