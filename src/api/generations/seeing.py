"""Looking at one generation in the log, which is never behind, and waiting for its end."""

import asyncio
import time
from uuid import UUID

from litestar.types import Receive

from api.connection import Connection
from api.generations.documents import Seen
from api.generations.watcher import TooManyWatchedError
from api.problems.refusals import NotFoundError
from api.services import Services
from generation.leases import steps_of
from ledger.entry import Entry
from ledger.facts import GenerationRequested, TokensConsumed
from ledger.ledger import Ledger

LOOK_SECONDS = 5.0
"""A wait looks for itself this often, should the watcher's connection be down."""

_FAVORITES = "SELECT image_id FROM favorites WHERE account_id = %s AND image_id = ANY(%s)"


def request_of(ledger: Ledger, generation_id: UUID, account_id: str | None) -> Entry:
    """The request's entry; `account_id` None is anybody's. Raises `NotFoundError`."""
    entry = ledger.find(generation_id)
    if (
        entry is None
        or entry.fact_id != generation_id
        or not isinstance(entry.fact, GenerationRequested)
        or account_id not in {None, entry.account_id}
    ):
        raise NotFoundError
    return entry


async def see(services: Services, account_id: str, generation_id: UUID) -> Seen:
    """The account's generation as it is now. Raises `NotFoundError`."""
    request = await services.threads.read(request_of, services.ledger, generation_id, account_id)
    return await services.threads.query(_see, services.ledger, request)


async def see_again(services: Services, request: Entry) -> Seen:
    """The same, where the request's entry is known already."""
    return await services.threads.query(_see, services.ledger, request)


async def wait_until_ended(
    services: Services, request: Entry, seconds: float, receive: Receive
) -> Seen:
    """The generation once it has ended, or as it is after that time; at once if too many wait.

    Whoever hangs up (as `receive` tells) is waited for no longer; the generation goes on.
    """
    generation_id = request.fact_id
    deadline = time.monotonic() + seconds
    gone = asyncio.create_task(_hung_up(receive))
    try:
        async with services.watcher.watch(generation_id) as moved:
            gone.add_done_callback(lambda _: moved.set())
            while True:
                moved.clear()
                seen = await see_again(services, request)
                left = deadline - time.monotonic()
                if seen.ending or left <= 0 or gone.done() or services.watcher.closing:
                    return seen
                await wait_for(moved, min(left, LOOK_SECONDS))
    except TooManyWatchedError:
        return await see_again(services, request)  # accepted all the same: no reason for a 503
    finally:
        gone.cancel()


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set within that time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _see(connection: Connection, ledger: Ledger, request: Entry) -> Seen:
    generation_id = request.fact_id
    ending = ledger.ending(generation_id)
    favorites: set[UUID] = set()
    step = None
    if ending is None:
        step = steps_of(connection, [generation_id]).get(generation_id)
    elif isinstance(ending.fact, TokensConsumed):
        ids = [image.id for image in ending.fact.images]
        rows = connection.execute(_FAVORITES, (request.account_id, ids))
        favorites = {row[0] for row in rows}
    return Seen(
        request=request,
        ending=ending,
        step=step,
        available=ledger.account(request.account_id).available,
        favorites=favorites,
    )
