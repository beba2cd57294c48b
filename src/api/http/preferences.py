"""The request's headers that steer a generation: `Idempotency-Key` and `Prefer`."""

import re
from typing import Any
from uuid import UUID

from litestar import Request

from api.problems.field_errors import invalid
from api.texts.i18n import msg
from ledger.identity import key_id

IDEMPOTENCY_KEY = "Idempotency-Key"
WAIT_SECONDS_MAX = 60
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_WAIT = re.compile(r'\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:;.*)?', re.IGNORECASE)


def idempotency_key(
    request: Request[Any, Any, Any], account_id: str, operation: str
) -> UUID | None:
    """What stands for the caller's key. Raises `InvalidInputError` naming the header."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not is_key(key):
        raise invalid(IDEMPOTENCY_KEY, msg("Must be 1 to 255 visible ASCII characters."))
    return key_id(account_id, operation, key)


def is_key(text: str) -> bool:
    """Whether an idempotency key may be that."""
    return _KEY.fullmatch(text) is not None


def wait_seconds(request: Request[Any, Any, Any]) -> int | None:
    """N of the first `Prefer: wait=N` (RFC 7240); None where it is absent or out of 1–60."""
    for line in request.headers.getall("Prefer", []):
        for preference in line.split(","):
            if match := _WAIT.fullmatch(preference):
                seconds = int(match[1])
                return seconds if 1 <= seconds <= WAIT_SECONDS_MAX else None
    return None
