"""What a request that was accepted is answered with."""

import msgspec
from litestar import Response

from api.generations.documents import Seen, generation_of
from api.generations.requesting import Accepted
from api.http.about import note
from api.http.often import Answer
from api.http.schemas import Generation
from api.texts.i18n import Locale


def seen_first(accepted: Accepted) -> Seen | None:
    """The generation just asked for; None where it is an earlier one, which may be further on."""
    if accepted.available is None:
        return None
    return Seen(request=accepted.entry, available=accepted.available)


def answer_of(
    accepted: Accepted, seen: Seen, locale: Locale, *, waited: int | None = None
) -> Response[Generation]:
    """The answer; `waited` is for how many seconds its end was waited for at most."""
    note(generation_id=msgspec.to_builtins(accepted.entry.fact_id))
    document = generation_of(seen, locale)
    headers = {"Location": document.urls.self_}
    if accepted.available is None:
        headers["Idempotency-Replayed"] = "true"
    if waited is not None and seen.ending:
        headers["Preference-Applied"] = f"wait={waited}"
    return Answer(document, status_code=200 if seen.ending else 202, headers=headers)
