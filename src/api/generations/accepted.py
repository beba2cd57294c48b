"""What a request that was accepted is answered with."""

from litestar import Response
from structlog.contextvars import bind_contextvars

from api.generations.documents import Seen, generation_of
from api.generations.requesting import Accepted
from api.generations.seeing import see_again, wait_until_ended
from api.http.bodies import StrictRequest
from api.http.schemas import Generation


async def answer_of(
    request: StrictRequest, accepted: Accepted, *, wait: int | None = None
) -> Response[Generation]:
    """The generation as it is now, or after up to `wait` seconds where that is a number."""
    services = request.services
    bind_contextvars(generation_id=str(accepted.entry.fact_id))
    if wait is not None:
        seen = await wait_until_ended(services, accepted.entry, wait, request.receive)
    elif accepted.available is not None:
        seen = Seen(request=accepted.entry, available=accepted.available)
    else:
        seen = await see_again(services, accepted.entry)
    document = generation_of(seen, request.locale)
    headers = {"Location": document.urls.self_}
    if accepted.available is None:
        headers["Idempotency-Replayed"] = "true"
    if wait is not None and seen.ending:
        headers["Preference-Applied"] = f"wait={wait}"
    return Response(document, status_code=200 if seen.ending else 202, headers=headers)
