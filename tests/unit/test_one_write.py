"""Heads and bodies leave together, and nothing is held back for long."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from api.http.one_write import OneWrite

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Sent:
    """A transport that remembers each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.writes.append(b"".join(pieces))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def after(*steps: bytes | None) -> Sent:
    """What was sent by writing those, with a turn of the loop for each None."""
    sent = Sent()

    async def write() -> None:
        transport = OneWrite(cast("Any", sent), asyncio.get_running_loop())
        for step in steps:
            if step is None:
                await asyncio.sleep(0)
            else:
                transport.write(step)
        transport.close()
        assert transport.is_closing()
        assert b"".join(sent.writes) == b"".join(step or b"" for step in steps)

    asyncio.run(write())
    return sent


def test_a_head_leaves_with_what_follows_it() -> None:
    sent = after(HEAD, b"one", b"two", HEAD, b"three", None)
    assert sent.writes == [HEAD + b"one", b"two", HEAD + b"three"]


def test_a_head_that_nothing_follows_leaves_in_the_next_turn() -> None:
    assert after(HEAD, None, b"one").writes == [HEAD, b"one"]


def test_an_interim_answer_and_the_answer_may_leave_together() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert after(early, HEAD, b"one").writes == [early + HEAD, b"one"]
    assert after(early, None, HEAD, b"one").writes == [early, HEAD + b"one"]


def test_closing_loses_no_head() -> None:
    sent = after(HEAD)
    assert (sent.writes, sent.closed) == ([HEAD], True)


def test_what_is_whole_does_not_overtake_a_head() -> None:
    sent = Sent()

    async def write() -> None:
        transport = OneWrite(cast("Any", sent), asyncio.get_running_loop())
        transport.write(HEAD)
        transport.write_whole(HEAD + b"second")
        await asyncio.sleep(0)

    asyncio.run(write())
    assert sent.writes == [HEAD, HEAD + b"second"]
