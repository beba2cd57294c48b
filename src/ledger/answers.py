"""Telling those who wait what became of their commands, each in its own way."""

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import Future

from ledger.batch import Outcome
from ledger.commands import Submission
from ledger.recording import Result
from ledger.relay import Reply

AsyncFuture = asyncio.Future[Outcome]
Waiting = tuple[Submission, "Future[Outcome] | AsyncFuture | Reply"]
"""A command, and where its result goes: to a thread, an event loop or another process."""


def tell(
    batch: Sequence[Waiting], results: Sequence[Result], here: asyncio.AbstractEventLoop | None
) -> list[tuple[Reply, Result]]:
    """Tell threads and event loops; what is for other processes is handed back.

    `here` is the event loop that this runs on, if any: the others have to be called.
    """
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[AsyncFuture, Result]]] = {}
    replies: list[tuple[Reply, Result]] = []
    for (_, future), result in zip(batch, results, strict=True):
        if isinstance(future, asyncio.Future):
            if (loop := future.get_loop()) is here:
                resolve(future, result)
            else:
                by_loop.setdefault(loop, []).append((future, result))
        elif isinstance(future, Reply):
            replies.append((future, result))
        else:
            resolve(future, result)
    for loop, answers in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve_all, answers)
    return replies


def resolve(future: "Future[Outcome] | AsyncFuture", result: Result) -> None:
    """Tell one, unless it has hung up."""
    if future.done():
        return
    if isinstance(result, Outcome):
        future.set_result(result)
    else:
        future.set_exception(result)


def _resolve_all(answers: Sequence[tuple[AsyncFuture, Result]]) -> None:
    for future, result in answers:
        resolve(future, result)
