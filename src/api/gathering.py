"""Questions that many ask at the same time, put to the database as one.

A trip to the database costs a turn of a thread and a message each way, whatever is asked on it.
So those who come while one is under way are answered together by the next. Nothing is remembered:
every answer was read after its question was asked, so that what has ended is ended at once.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import psycopg
import structlog

from api.connection import Connection
from api.threads import DOWN_SECONDS, DatabaseDownError

GATHERED_MAX = 512
STOP_SECONDS_MAX = 5.0

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Look = Callable[[Connection, Sequence[Any]], Sequence[Any]]

_log = structlog.get_logger("api.gathering")


class _Asked(NamedTuple):
    look: Look
    question: Any
    future: "asyncio.Future[Any]"


class Messenger:
    """One thread and one connection, which answer all that waits at a time.

    A lost connection is made again, and what was asked over it asked once more; while there is
    none to be had, whoever asks is told so.
    """

    def __init__(self, connect: Callable[[], Connection], name: str) -> None:
        """`connect` makes a connection in autocommit mode."""
        self._connect = connect
        self._connection: Connection | None = None
        self._down_until = 0.0
        self._closing = False
        self._gathered: list[_Asked] = []
        self._asked: queue.SimpleQueue[list[_Asked]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to answer; once."""
        self._thread.start()

    def close(self) -> None:
        """Answer what waits, then end. Safe to call twice."""
        self._closing = True
        self._asked.put([])
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS_MAX)

    async def ask(self, look: Look, question: Any) -> Any:
        """What `look` answers. Raises what it raises, and `psycopg.OperationalError`.

        `DatabaseDownError` where there is no connection, or none any more since it was closed.
        """
        if self._closing:
            raise DatabaseDownError
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if not self._gathered:  # the others of this turn of the loop come along
            loop.call_soon(self._send)
        self._gathered.append(_Asked(look, question, future))
        return await future

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._asked.put(gathered)

    def _run(self) -> None:
        while not self._closing or not self._asked.empty():
            asked = self._asked.get()
            with contextlib.suppress(queue.Empty):
                while len(asked) < GATHERED_MAX:
                    asked += self._asked.get_nowait()
            self._tell(self._answer(asked))
        self._give_up()

    def _answer(self, asked: Sequence[_Asked]) -> list[tuple["asyncio.Future[Any]", Any]]:
        by_look: dict[Look, list[_Asked]] = {}
        for each in asked:
            by_look.setdefault(each.look, []).append(each)
        told: list[tuple[asyncio.Future[Any], Any]] = []
        for look, group in by_look.items():
            futures = [each.future for each in group]
            try:
                answers = self._look(look, [each.question for each in group])
                told += list(zip(futures, answers, strict=True))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is theirs
                told += [(future, error) for future in futures]
        return told

    def _look(self, look: Look, questions: Sequence[Any]) -> Sequence[Any]:
        if time.monotonic() < self._down_until:
            raise DatabaseDownError
        if self._connection is not None:
            try:
                return look(self._connection, questions)
            except psycopg.OperationalError:
                if not self._connection.closed:
                    raise
                self._give_up()  # it died while it was idle, most likely: the next one tells
        try:
            self._connection = self._connect()
        except psycopg.OperationalError as error:
            self._down_until = time.monotonic() + DOWN_SECONDS
            _log.warning("no connection", error=type(error).__name__)
            raise
        return look(self._connection, questions)

    def _give_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @staticmethod
    def _tell(told: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for future, answer in told:
            by_loop.setdefault(future.get_loop(), []).append((future, answer))
        for loop, answers in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, answers)


class Gathered(Generic[Question, Answer]):
    """One kind of question, which `look` answers for up to `GATHERED_MAX` at once, in order."""

    def __init__(
        self,
        messenger: Messenger,
        look: Callable[[Connection, Sequence[Question]], Sequence[Answer]],
    ) -> None:
        self._messenger = messenger
        self._look = look

    async def get(self, question: Question) -> Answer:
        """The answer as of now. Raises what `look` raises, and `psycopg.OperationalError`."""
        answer: Answer = await self._messenger.ask(self._look, question)
        return answer


def _resolve(answers: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, answer in answers:
        if future.done():  # its caller may have hung up
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
