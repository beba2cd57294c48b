"""The HTTP client the Gemini adapter speaks through: no redirects, every body bounded in flight."""

import email.utils
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.request import getproxies

import httpx2
import msgspec

from generation.admission import admit
from generation.connections import IDLE_MAX, OneEach
from generation.room import Part

CONNECT_TIMEOUT_SECONDS = 10.0
REFUSAL_BYTES_MAX = 64 * 1024
RETRY_AFTER_SECONDS_MAX = 3600.0
_CHUNK_BYTES = 64 * 1024


class AnswerTooLargeError(Exception):
    """The answer grew over its limit and was cut off there."""


class AnswerEncodedError(Exception):
    """The answer is compressed, which was not asked for and could expand without bound."""


class RefusedError(Exception):
    """A status other than 200, reduced to what may be told: no response, request or header."""

    def __init__(self, code: int, status: str, message: str, retry_after: float | None) -> None:
        """`retry_after` is in seconds, 0 to `RETRY_AFTER_SECONDS_MAX`."""
        super().__init__(code, status, message)
        self.code = code
        self.status = status
        self.message = message
        self.retry_after_seconds = retry_after


class _Refusal(msgspec.Struct):
    status: Any = None
    message: Any = None
    details: Any = None


class _RefusalBody(msgspec.Struct):
    error: _Refusal


class _BoundedStream(httpx2.AsyncByteStream):
    """Passes the body on, in chunks of a useful size, and raises once it is over the limit."""

    def __init__(self, inner: httpx2.AsyncByteStream, bytes_max: int, part: Part | None) -> None:
        self._inner = inner
        self._bytes_max = bytes_max
        self._part = part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen, pending = 0, bytearray()
        async for chunk in self._inner:
            seen += len(chunk)
            if seen > self._bytes_max:
                raise AnswerTooLargeError
            if self._part is not None:
                self._part.reach(seen)
            # A body sent a byte at a time would otherwise cost 40 bytes of list for each.
            pending += chunk
            if len(pending) >= _CHUNK_BYTES:
                yield bytes(pending)
                pending.clear()
        yield bytes(pending)

    async def aclose(self) -> None:
        await self._inner.aclose()


def open_client(*, answer_bytes_max: int) -> httpx2.AsyncClient:
    """Make a client whose 200 answers stop at `answer_bytes_max`; others raise `RefusedError`.

    Close it with `aclose()`. Proxies and CA files of the environment are honoured.
    """

    async def limit_connect(request: httpx2.Request) -> None:
        timeout = dict(request.extensions.get("timeout") or {})
        asked = timeout.get("connect")
        timeout["connect"] = min(CONNECT_TIMEOUT_SECONDS, asked or CONNECT_TIMEOUT_SECONDS)
        request.extensions = {**request.extensions, "timeout": timeout}

    async def check(response: httpx2.Response) -> None:
        if response.status_code != httpx2.codes.OK:
            raise await _refused(response)
        if response.headers.get("content-encoding", "identity") != "identity":
            raise AnswerEncodedError
        declared_bytes = _declared_bytes(response)
        if declared_bytes > answer_bytes_max:
            raise AnswerTooLargeError
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        part = await admit(declared_bytes)
        response.stream = _BoundedStream(stream, answer_bytes_max, part)

    # A proxy that the environment names for a scheme or a host comes before what is for all; it
    # has the client's own pool. As the client's one transport ours would leave them out.
    mounts = {} if "all" in getproxies() else {"all://": OneEach()}
    return httpx2.AsyncClient(
        mounts=mounts,
        follow_redirects=False,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=IDLE_MAX),
        headers={"accept-encoding": "identity"},
        event_hooks={"request": [limit_connect], "response": [check]},
    )


def _declared_bytes(response: httpx2.Response) -> int:
    declared = response.headers.get("content-length", "")
    return int(declared) if re.fullmatch(r"[0-9]{1,18}", declared) else 0


async def _refused(response: httpx2.Response) -> RefusedError:
    # Read here: the SDK's own error keeps the request with the key in it, and fails on a body
    # that is not UTF-8.
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk[: REFUSAL_BYTES_MAX - len(body)]
        if len(body) >= REFUSAL_BYTES_MAX:
            break
    try:
        refusal = msgspec.json.decode(bytes(body), type=_RefusalBody).error
    except (ValueError, RecursionError):
        refusal = _Refusal()
    delay = _retry_delay(refusal.details)
    if delay is None:
        delay = _retry_after(response.headers.get("retry-after", ""))
    return RefusedError(
        response.status_code,
        refusal.status if isinstance(refusal.status, str) else "",
        refusal.message if isinstance(refusal.message, str) else "",
        None if delay is None else min(max(delay, 0.0), RETRY_AFTER_SECONDS_MAX),
    )


def _retry_delay(details: object) -> float | None:
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("RetryInfo"):
            delay = str(detail.get("retryDelay", ""))
            if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?s", delay):
                return float(delay[:-1])
    return None


def _retry_after(value: str) -> float | None:
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
