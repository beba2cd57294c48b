"""Asking for images the way that nearly all do: with a key, in a small JSON body, without waiting.

Who asks, whether the idempotency key is known and what the prompt costs is one question then.
Whatever is not so plain takes the long way, which also tells what is wrong where something is.
"""

from litestar import Response

from api.generations.accepted import answer_of
from api.generations.asked import INLINE_BYTES_MAX, Asked, read_json
from api.generations.before import FirstQuestion
from api.generations.requesting import accept_once
from api.http.auth import hash_of_key, known, let_in
from api.http.bodies import StrictRequest
from api.http.preferences import is_key
from api.http.schemas import Generation
from api.problems.refusals import EdgeError
from generation.pictures import UnsupportedPictureError

_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})


async def create_plainly(request: StrictRequest) -> Response[Generation] | None:
    """What the handler answers, and raises; None where it has to be asked, for nothing was done."""
    services = request.services
    try:
        plain = await _read(request)
    except (EdgeError, UnsupportedPictureError):
        return None
    if plain is None:
        return None
    question, asked = plain
    caller, key_id, before = await services.first.get(question)
    caller = known(caller)
    let_in(request, caller)
    accepted = await accept_once(services, caller, asked, before, key_id)
    return await answer_of(request, accepted)


async def _read(request: StrictRequest) -> tuple[FirstQuestion, Asked] | None:
    services = request.services
    headers = dict(request.scope["headers"])
    length = headers.get(b"content-length", b"")
    if (
        len(headers) != len(list(request.scope["headers"]))  # one was sent twice
        or b"prefer" in headers
        or headers.get(b"content-type") not in _TYPES
        or not (length.isdigit() and int(length) <= INLINE_BYTES_MAX)
    ):
        return None
    hashed = hash_of_key(services, headers.get(b"authorization", b"").decode("latin-1"))
    key = headers[b"idempotency-key"].decode("latin-1") if b"idempotency-key" in headers else None
    if hashed is None or (key is not None and not is_key(key)):
        return None
    asked = read_json(await request.body(), services.settings.reference_max_bytes)
    return None if asked.reference else (FirstQuestion(hashed, key, asked.prompt_id), asked)
