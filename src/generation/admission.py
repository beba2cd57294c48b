"""An answer's body is read once there is room for it; until then it waits in its connection.

The client's hooks know nothing of the call that they belong to, but they run in its task.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from generation.room import Part

UNDECLARED_BYTES = 4 * 1024 * 1024
"""What an answer is taken to have that does not say; most pictures need less."""

_call: ContextVar[tuple[Part, asyncio.Timeout] | None] = ContextVar("admission", default=None)


@contextmanager
def admitted(part: Part | None, limit: asyncio.Timeout) -> Iterator[None]:
    """Answers in this block take room of `part`; while they wait for it `limit` stands still."""
    token = _call.set(None if part is None else (part, limit))
    try:
        yield
    finally:
        _call.reset(token)


async def admit(declared_bytes: int) -> Part | None:
    """Wait for room for a body (0: it does not say how long it is), and return the call's part."""
    call = _call.get()
    if call is None:
        return None
    part, limit = call
    when, clock = limit.when(), asyncio.get_running_loop().time
    if when is None or limit.expired():
        return part
    began = clock()
    limit.reschedule(None)
    try:
        await part.take(declared_bytes or UNDECLARED_BYTES)
    finally:
        limit.reschedule(when + clock() - began)
    return part
