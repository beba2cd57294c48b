"""What the caller has, and who the caller is."""

from litestar import Response, get
from litestar.di import NamedDependency

from api.accounts.numbers import Numbers, known, numbers_of
from api.accounts.store import profile_of
from api.connection import Connection
from api.http.auth import current
from api.http.bodies import StrictRequest
from api.http.often import Answer, OftenAsked
from api.http.principals import Principal
from api.http.schemas import Balance, Me
from api.openapi.documented import refusals
from api.services import Services


@OftenAsked("/balance", http_method="GET", summary="My tokens", responses=refusals())
async def balance(request: StrictRequest) -> Response[Balance]:
    """All of it at one position of the log, never older than what was acknowledged."""
    return Answer(await balance_of(request.services, current(request).account))


@get("/me", summary="Who I am", responses=refusals())
async def me(services: NamedDependency[Services], caller: NamedDependency[Principal]) -> Me:
    """The balance, the profile, and the role that these credentials carry."""
    return await services.threads.query(_me, caller)


async def balance_of(services: Services, account_id: str) -> Balance:
    """The account's tokens now. Raises `NotFoundError`."""
    numbers = known(await services.numbers.get(account_id))
    return Balance(
        account_id=account_id,
        is_member=numbers.is_member,
        available=numbers.available,
        held=numbers.held,
        settled=numbers.settled,
        position=numbers.position,
    )


def _me(connection: Connection, caller: Principal) -> Me:
    numbers, profile = Numbers(), None
    if caller.account_id is not None:
        numbers = numbers_of(connection, caller.account_id)
        profile = profile_of(connection, caller.account_id)
    return Me(
        account_id=caller.account_id,
        is_member=numbers.is_member,
        available=numbers.available,
        held=numbers.held,
        settled=numbers.settled,
        position=numbers.position,
        email=profile.email if profile else None,
        name=profile.name if profile else "",
        role=caller.role,
    )
