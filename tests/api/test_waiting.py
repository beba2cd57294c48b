"""Waiting for the end: `Prefer: wait` and server-sent events."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import httpx
import msgspec
import pytest

from api.generations import watcher
from api.http import event_streams
from api_client import Api
from problems import refused

BODY = {"prompt_id": "dreamy-forest"}
SECONDS_MAX = 30.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def in_background(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_a_wait_answers_as_soon_as_it_has_ended(api: Api) -> None:
    user = api.user()

    def end() -> None:
        until(lambda: bool(user.get("/v1/generations").json()["items"]))
        api.succeed(user.get("/v1/generations").json()["items"][0])

    ending = in_background(end)
    started = time.monotonic()
    answer = user.post("/v1/generations", json=BODY, headers={"Prefer": "respond-async, wait=60"})
    took = time.monotonic() - started
    ending.join()
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.headers["Preference-Applied"] == "wait=60"
    assert took < SECONDS_MAX


def test_a_wait_that_sees_no_end_answers_202(api: Api) -> None:
    user = api.user()
    started = time.monotonic()
    answer = user.post("/v1/generations", json=BODY, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert "Preference-Applied" not in answer.headers
    assert 0.9 < time.monotonic() - started < SECONDS_MAX


def test_where_too_many_wait_already_what_was_accepted_is_still_answered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "WATCHED_MAX", 0)
    user = api.user()
    answer = user.post("/v1/generations", json=BODY, headers={"Prefer": "wait=30"})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


@pytest.mark.parametrize("prefer", ["wait=0", "wait=61", "wait=-1", "wait=soon", "wait", ""])
def test_a_wait_out_of_range_is_ignored(api: Api, prefer: str) -> None:
    started = time.monotonic()
    answer = api.user().post("/v1/generations", json=BODY, headers={"Prefer": prefer})
    assert answer.status_code == 202
    assert time.monotonic() - started < SECONDS_MAX


def test_hanging_up_cancels_nothing(api: Api) -> None:
    key = api.key(api.account())
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Prefer": "wait=60",
    }
    watched = api.services.watcher._watched
    with contextlib.closing(HTTPConnection(api.url.removeprefix("http://"))) as caller:
        caller.request("POST", "/v1/generations", json.dumps(BODY), headers)
        until(lambda: bool(watched))
    until(lambda: not watched)
    (generation,) = api.client(key).get("/v1/generations").json()["items"]
    assert generation["status"] == "queued"


class Event(msgspec.Struct):
    id: int
    name: str
    data: dict[str, Any]


def read_events(response: httpx.Response) -> Iterator[Event]:
    given: dict[str, str] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            given[name] = value
        elif "data" in given:
            data = msgspec.json.decode(given["data"])
            yield Event(int(given["id"]), given["event"], data)
            given = {}
        else:
            given = {}


def follow(user: httpx.Client, generation: dict[str, Any], last: int | None = None) -> list[Event]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    url = generation["urls"]["events"]
    with user.stream("GET", url, headers=headers, timeout=SECONDS_MAX) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"
        return list(read_events(response))


def test_each_step_is_told_as_it_begins_and_the_stream_closes_with_the_generation(
    api: Api,
) -> None:
    user = api.user()
    asked = user.post("/v1/generations", json=BODY).json()
    seen: list[Event] = []
    with user.stream("GET", asked["urls"]["events"], timeout=SECONDS_MAX) as response:
        for event in read_events(response):
            seen.append(event)
            match event.data.get("step"), event.id:
                case "validating", 1:
                    api.step(asked, "generating")
                case "generating", 2:
                    api.step(asked, "storing")
                case "storing", 3:
                    api.succeed(asked)
    steps = [(event.id, event.name, event.data["step"]) for event in seen]
    assert steps == [
        (1, "step", "validating"),
        (2, "step", "generating"),
        (3, "step", "storing"),
        (4, "step", "completed"),
        (5, "done", "completed"),
    ]
    assert [event.data["status"] for event in seen] == [
        "queued",
        "processing",
        "processing",
        "succeeded",
        "succeeded",
    ]
    assert all(event.data["message"] for event in seen[:4])
    assert seen[-1].data == user.get(asked["urls"]["self"]).json()


@pytest.mark.parametrize("last", range(5))
def test_who_comes_back_gets_exactly_what_is_missing(api: Api, last: int) -> None:
    user = api.user()
    asked = user.post("/v1/generations", json=BODY).json()
    api.succeed(asked)
    assert [event.id for event in follow(user, asked, last)] == list(range(last + 1, 6))
    assert user.get(asked["urls"]["events"], headers={"Last-Event-ID": "5"}).status_code == 204


def test_a_failure_ends_with_the_error(api: Api) -> None:
    user = api.user()
    asked = user.post("/v1/generations", json=BODY).json()
    api.fail(asked, "blocked")
    told = [(event.id, event.data["step"]) for event in follow(user, asked)]
    assert told == [(1, "validating"), (2, "generating"), (4, "error"), (5, "error")]
    canceled = user.post("/v1/generations", json=BODY).json()
    user.post(canceled["urls"]["cancel"])
    told = [(event.id, event.data["step"]) for event in follow(user, canceled)]
    assert told == [(1, "validating"), (4, "error"), (5, "error")]


def test_a_comment_keeps_the_stream_alive(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert event_streams.PING_SECONDS <= 15
    monkeypatch.setattr(event_streams, "PING_SECONDS", 0.1)
    user = api.user()
    asked = user.post("/v1/generations", json=BODY).json()
    with user.stream("GET", asked["urls"]["events"], timeout=SECONDS_MAX) as response:
        assert ": ping" in (line for line in response.iter_lines())


def test_anothers_events_are_not_found(api: Api) -> None:
    asked = api.user().post("/v1/generations", json=BODY).json()
    refused(api.user().get(asked["urls"]["events"]), 404, "NOT_FOUND")
    refused(api.client().get(asked["urls"]["events"]), 401, "UNAUTHENTICATED")


def listening(api: Api) -> int:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mintage watcher'"
    with api.services.pool.connection() as connection:
        row = connection.execute(statement + " AND datname = current_database()").fetchone()
    assert row
    return int(row[0])


def test_nothing_is_listened_to_where_nobody_waits(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = api.user()
    monkeypatch.setattr(watcher, "LINGER_SECONDS", 0.1)
    for _ in range(2):
        until(lambda: listening(api) == 0)
        asked = user.post("/v1/generations", json=BODY).json()

        def end(generation: Any = asked) -> None:
            until(lambda: listening(api) == 1)
            api.succeed(generation)

        ending = in_background(end)
        with user.stream("GET", asked["urls"]["events"]) as stream:
            told = stream.read().decode()
        ending.join()
        assert "event: done" in told
    until(lambda: listening(api) == 0)


def test_a_watcher_that_rests_can_be_closed(api: Api) -> None:
    resting = watcher.Watcher(api.services.settings.database_url or "")
    resting.start()
    resting.close()
    assert resting.closing
