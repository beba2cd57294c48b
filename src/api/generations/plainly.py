"""Asking for images the way that nearly all do: with a key, in a small JSON body, without waiting.

Who asks and what the prompt costs is one question then, and none where it is remembered.
Whatever is not so plain takes the long way, which also tells what is wrong where something is.
"""

from collections.abc import Mapping
from typing import NamedTuple

from litestar import Response
from litestar.types import Receive, Scope

from api.generations.accepted import answer_of, seen_first
from api.generations.asked import INLINE_BYTES_MAX, Asked, read_json
from api.generations.before import OPERATION
from api.generations.entering import Asking, Entered
from api.generations.requesting import Accepted, accept_offer
from api.generations.seeing import see_again
from api.http.auth import hash_of_key, known, let_in
from api.http.bodies import keep_body, small_body
from api.http.preferences import is_key
from api.http.schemas import Generation
from api.problems.refusals import EdgeError, UnauthenticatedError
from api.services import Services
from api.texts.i18n import locale_of
from generation.pictures import UnsupportedPictureError
from ledger.errors import TermsChangedError
from ledger.identity import key_id

_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})


async def create_plainly(scope: Scope, receive: Receive) -> Response[Generation] | None:
    """What the handler answers, and raises; None where it has to be asked, for nothing was done."""
    services: Services = scope["litestar_app"].state.services
    given = list(scope["headers"])
    headers = dict(given)
    if b"prefer" in headers or len(headers) < len(given):
        return None
    credentials = _credentials(services, headers)
    if credentials is None:
        return None
    body = await small_body(receive)
    accepted = await _accepted(scope, services, credentials, body)
    if accepted is None:
        keep_body(scope, body)
        return None
    locale = locale_of(headers.get(b"accept-language", b"").decode("latin-1"))
    seen = seen_first(accepted) or await see_again(services, accepted.entry)
    return answer_of(accepted, seen, locale)


class _Credentials(NamedTuple):
    """The hash of the caller's key, and the idempotency key."""

    hashed: bytes
    key: str | None


def _credentials(services: Services, headers: Mapping[bytes, bytes]) -> _Credentials | None:
    """Of a request with a small body in JSON, and nothing wrong in its head."""
    length = headers.get(b"content-length", b"")
    if not length.isdigit() or int(length) > INLINE_BYTES_MAX:
        return None
    if headers.get(b"content-type") not in _TYPES:
        return None
    try:
        hashed = hash_of_key(services, headers.get(b"authorization", b"").decode("latin-1"))
    except UnauthenticatedError:
        return None
    key = headers[b"idempotency-key"].decode("latin-1") if b"idempotency-key" in headers else None
    if hashed is None or (key is not None and not is_key(key)):
        return None
    return _Credentials(hashed, key)


async def _accepted(
    scope: Scope, services: Services, credentials: _Credentials, body: bytes
) -> Accepted | None:
    """None where the body is not plain, or the idempotency key was used just now."""
    try:
        asked = read_json(body, services.settings.reference_max_bytes)
    except (EdgeError, UnsupportedPictureError):
        return None
    if asked.reference:
        return None
    asking = Asking(credentials.hashed, asked.prompt_id)
    entered = services.entering.remembered(asking)
    if entered is not None:
        try:
            return await _accept(scope, services, entered, asked, credentials.key)
        except TermsChangedError:
            scope["user"] = None  # nobody has been let in
    entered = (await services.entering.ask(asking))._replace(terms=None)
    return await _accept(scope, services, entered, asked, credentials.key)


async def _accept(
    scope: Scope, services: Services, entered: Entered, asked: Asked, key: str | None
) -> Accepted | None:
    """Raises `TermsChangedError` where they are named."""
    caller = known(entered.caller)
    account_id = caller.account_id
    used = None if key is None or account_id is None else key_id(account_id, OPERATION, key)
    if used is not None and used in services.recent_keys:
        return None
    let_in(scope, caller)
    return await accept_offer(services, caller, asked, entered.offer, used, terms=entered.terms)
