"""The balance as it moves: one stream a browser instead of a question every second."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Stream

from api.accounts.balances import balance_of
from api.generations.seeing import wait_for
from api.http import event_streams
from api.http.auth import authenticate
from api.http.event_streams import HEADERS, MEDIA_TYPE, event_stream, frame
from api.http.principals import Principal
from api.openapi.documented import refusals
from api.problems.refusals import TooManyStreamsError, UnauthenticatedError
from api.services import Services

STREAMS_MAX = 20
"""Of one account in one process: a browser's pages share one."""

_open: Counter[str] = Counter()


@get(
    "/balance/events",
    summary="My tokens as server-sent events",
    media_type=MEDIA_TYPE,
    response_headers=HEADERS,
    responses=refusals("RATE_LIMITED"),
)
async def events(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
) -> Stream:
    """`event: balance` with the Balance, at once and whenever it has changed."""
    account_id = caller.account
    if _open[account_id] >= STREAMS_MAX:
        raise TooManyStreamsError
    return event_stream(_stream(request, services, account_id))


async def _stream(
    request: Request[Any, Any, Any], services: Services, account_id: str
) -> AsyncIterator[bytes]:
    closes_at = time.monotonic() + event_streams.STREAM_SECONDS_MAX
    sent = -1
    with _counted(account_id):
        yield event_streams.RETRY
        async with services.watcher.watch(account_id) as moved:
            while not services.watcher.closing and time.monotonic() < closes_at:
                moved.clear()
                try:  # who has logged out meanwhile is told no more
                    await authenticate(request)
                except UnauthenticatedError:
                    return
                balance = await balance_of(services, account_id)
                if balance.position != sent:
                    sent = balance.position
                    yield frame(balance.position, "balance", balance)
                if not await wait_for(moved, event_streams.PING_SECONDS):
                    yield event_streams.PING


@contextmanager
def _counted(account_id: str) -> Iterator[None]:
    _open[account_id] += 1
    try:
        yield
    finally:
        _open[account_id] -= 1
        if not _open[account_id]:
            del _open[account_id]
