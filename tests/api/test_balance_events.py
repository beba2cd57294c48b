"""The balance as a stream: at once, whenever it moves, and no longer than the session."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from api.accounts import balance_events
from api.http import event_streams
from api_client import Api
from ledger_running import wait_until
from problems import refused

BODY = {"prompt_id": "dreamy-forest"}
EVENTS = "/v1/balance/events"


@contextmanager
def listening(client: httpx.Client) -> Iterator[Iterator[str]]:
    """The lines of a stream, as they come."""
    with client.stream("GET", EVENTS) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["X-Accel-Buffering"] == "no"
        yield answer.iter_lines()


def next_balance(lines: Iterator[str]) -> dict[str, Any]:
    data = next(line for line in lines if line.startswith("data: "))
    return dict(json.loads(data.removeprefix("data: ")))


def test_the_balance_comes_at_once_and_whenever_it_moves(api: Api) -> None:
    account_id = api.account(tokens=20)
    user = api.client(api.key(account_id))
    with listening(user) as lines:
        assert next_balance(lines) == user.get("/v1/balance").json()
        began = time.monotonic()
        asked = user.post("/v1/generations", json=BODY).json()
        held = next_balance(lines)
        assert (held["available"], held["held"], held["settled"]) == (15, 5, 20)
        api.succeed(asked)
        assert next_balance(lines)["settled"] == 15
        api.grant(account_id, 7)
        assert next_balance(lines)["available"] == 22
        assert time.monotonic() - began < event_streams.PING_SECONDS  # told, not looked for


def test_nobody_else_moves_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "PING_SECONDS", 0.3)
    other = api.account(tokens=3)
    with listening(api.user(tokens=20)) as lines:
        next_balance(lines)
        api.grant(other, 7)
        assert [next(lines) for _ in range(4)] == ["", ": ping", "", ": ping"]


def test_an_account_has_so_many_streams_and_they_are_given_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance_events, "STREAMS_MAX", 1)
    account_id = api.account()
    user = api.client(api.key(account_id))
    with listening(user) as lines:
        next_balance(lines)
        refused(user.get(EVENTS), 429, "RATE_LIMITED")
        with listening(api.user()) as others:
            next_balance(others)
    wait_until(lambda: account_id not in balance_events._open, "the hang-up being seen")
    with listening(user) as lines:
        next_balance(lines)


def test_who_has_logged_out_is_told_no_more(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "PING_SECONDS", 0.1)
    client = api.client()
    session = client.post("/v1/session", json={"demo": True}).json()
    with listening(client) as lines:
        next_balance(lines)
        client.delete("/v1/session", headers={"X-CSRF-Token": session["csrf_token"]})
        api.grant("demo-user-123", 7)
        assert not [line for line in lines if line.startswith("data: ")]
