"""Questions that many ask at the same time, put to the database as one.

A trip to the database costs a turn of a thread and a message each way, whatever is asked on it.
So those who come while one is under way are answered together by the next. Nothing is remembered:
every answer was read after its question was asked, so that what has ended is ended at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

GATHERED_MAX = 512

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Gathered(Generic[Question, Answer]):
    """For one event loop. What goes wrong with a trip is raised to all that were on it."""

    def __init__(self, ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]]) -> None:
        """`ask` answers up to `GATHERED_MAX` at once, in their order."""
        self._ask = ask
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def get(self, question: Question) -> Answer:
        """The answer as of now. Raises what `ask` raises."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._asking is None:
            self._asking = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:GATHERED_MAX]
                del self._waiting[:GATHERED_MAX]
                await self._answer(batch)
        finally:
            self._asking = None

    async def _answer(self, batch: Sequence[tuple[Question, "asyncio.Future[Answer]"]]) -> None:
        try:
            answers = await self._ask([question for question, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is theirs
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():  # its caller may have hung up
                future.set_result(answer)
