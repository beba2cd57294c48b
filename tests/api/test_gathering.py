"""Questions of many callers are one to the database, and none is answered from memory."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import psycopg
import pytest

import databases
from api.connection import Connection
from api.gathering import Gathered, Messenger
from api.http import parameters
from api.prompts import store
from api.threads import DatabaseDownError
from api_client import Api

_TERMINATE = """
SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'mintage api'"""


class Doubling:
    """Doubles numbers, and remembers which were asked together."""

    def __init__(self) -> None:
        self.trips: list[list[int]] = []

    def __call__(self, connection: Connection, numbers: Sequence[int]) -> list[int]:
        self.trips.append(list(numbers))
        if 13 in numbers:
            raise ValueError("thirteen")
        rows = connection.execute("SELECT 2 * n FROM unnest(%s) AS n", (list(numbers),))
        return [row[0] for row in rows]


@pytest.fixture
def messenger(database: databases.Database) -> Iterator[Messenger]:
    messenger = Messenger(lambda: psycopg.connect(database.url, autocommit=True), "test")
    messenger.start()
    yield messenger
    messenger.close()


def test_who_asks_at_the_same_time_is_answered_by_one_question(messenger: Messenger) -> None:
    look = Doubling()

    async def ask() -> list[int]:
        gathered = Gathered(messenger, look)
        return list(await asyncio.gather(*map(gathered.get, range(10))))

    assert asyncio.run(ask()) == [2 * number for number in range(10)]
    assert look.trips == [list(range(10))]


def test_what_goes_wrong_is_told_to_those_who_asked_and_to_nobody_else(
    messenger: Messenger,
) -> None:
    look, other = Doubling(), Doubling()

    async def ask() -> list[int | BaseException]:
        gathered, beside = Gathered(messenger, look), Gathered(messenger, other)
        asked = (gathered.get(13), gathered.get(1), beside.get(4))
        return list(await asyncio.gather(*asked, return_exceptions=True))

    first, second, third = asyncio.run(ask())
    assert isinstance(first, ValueError)
    assert isinstance(second, ValueError)
    assert third == 8


def test_without_a_database_everybody_is_told_so() -> None:
    def connect() -> Connection:
        raise psycopg.OperationalError("nobody there")

    messenger = Messenger(connect, "test")
    messenger.start()

    async def ask() -> None:
        gathered = Gathered(messenger, Doubling())
        for _ in range(2):
            with pytest.raises(Exception, match=r"nobody there|^$"):
                await asyncio.wait_for(gathered.get(1), 60)

    asyncio.run(ask())
    messenger.close()
    assert not any(thread.name == "test" for thread in threading.enumerate())


class Slow(Doubling):
    """Answers once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, connection: Connection, numbers: Sequence[int]) -> list[int]:
        self.begun.set()
        assert self.go.wait(60)
        return super().__call__(connection, numbers)


def test_closing_answers_what_waits_and_ends_at_once(messenger: Messenger) -> None:
    """Also where the word to end comes in the same turn as a question."""
    look = Slow()

    async def ask() -> list[int]:
        gathered = Gathered(messenger, look)
        first = asyncio.create_task(gathered.get(1))
        assert await asyncio.to_thread(look.begun.wait, 60)
        second = asyncio.create_task(gathered.get(2))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(asyncio.to_thread(messenger.close))
        await asyncio.sleep(0.05)
        look.go.set()
        answers = [await first, await second]
        await closing
        with pytest.raises(DatabaseDownError):
            await asyncio.wait_for(gathered.get(3), 60)
        return answers

    assert asyncio.run(ask()) == [2, 4]
    assert not any(thread.name == "test" for thread in threading.enumerate())


def test_an_answer_too_few_is_told_and_the_next_question_is_answered(
    messenger: Messenger,
) -> None:
    async def ask() -> None:
        short: Gathered[int, int] = Gathered(messenger, lambda _, numbers: list(numbers)[:-1])
        with pytest.raises(ValueError, match="shorter"):
            await asyncio.wait_for(short.get(1), 60)
        assert await asyncio.wait_for(Gathered(messenger, Doubling()).get(2), 60) == 4

    asyncio.run(ask())


def test_the_same_page_of_prompts_is_read_once(
    messenger: Messenger, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[store.PromptPage] = []

    def list_prompts(_: Connection, page: store.PromptPage) -> list[store.PromptRow]:
        read.append(page)
        return []

    monkeypatch.setattr(store, "list_prompts", list_prompts)
    one, other = store.PromptPage(None, None, None, 20), store.PromptPage(None, "x", None, 20)

    async def ask() -> None:
        gathered = Gathered(messenger, store.list_pages)
        await asyncio.gather(*map(gathered.get, [one, other, one, one]))

    asyncio.run(ask())
    assert read == [one, other]


def test_a_connection_that_died_while_idle_is_not_felt(api: Api) -> None:
    caller = api.user()
    assert caller.get("/v1/balance").status_code == 200
    with psycopg.connect(api.services.settings.database_url or "", autocommit=True) as connection:
        connection.execute(_TERMINATE)
    assert caller.get("/v1/balance").status_code == 200
    assert caller.post("/v1/generations", json={"prompt_id": "dreamy-forest"}).status_code == 202


def test_looking_at_parameters_remembers_no_request(api: Api) -> None:
    caller = api.user()
    caller.get("/v1/balance?x=1")
    before = len(parameters._parameters)
    for _ in range(5):
        caller.get("/v1/balance?x=1")
    assert len(parameters._parameters) == before
