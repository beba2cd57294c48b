"""A cursor is of its own list with its own filters; any other refuses it."""

from typing import Any

import httpx
import pytest

from api.http.cursors import Listing
from api_client import Api
from problems import fields, refused

BODY = {"prompt_id": "dreamy-forest"}


@pytest.fixture(scope="module")
def account(api: Api) -> str:
    account_id = api.account(tokens=100)
    user = api.client(api.key(account_id))
    for _ in range(2):
        asked = user.post("/v1/generations", json=BODY)
        assert asked.status_code == 202, asked.text
        api.succeed(asked.json(), images=2)
    api.grant(account_id, 5)
    api.key(account_id)
    return account_id


@pytest.fixture
def client(api: Api, account: str) -> httpx.Client:
    """An administrator who is that account's as well, and so may ask for every list."""
    return api.client(api.key(account, "admin"))


LISTS: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("/v1/transactions", {}, [{"type": "token_grant"}]),
    ("/v1/generations", {}, [{"status": "succeeded"}]),
    ("/v1/images", {}, [{"favorite": "false"}, {"q": "梦"}]),
    ("/v1/images", {"q": "梦"}, [{}, {"q": "幻"}]),
    ("/v1/prompts", {}, [{"category": "x"}, {"q": "x"}]),
    ("/v1/accounts/{account}/keys", {}, []),
    ("/v1/audit/accounts/{account}/timeline", {}, []),
    ("/v1/audit/accounts", {}, [{"q": "a"}]),
    ("/v1/audit/reads", {}, [{"reader": "cli"}, {"account": "a"}]),
    ("/v1/audit/reads", {"account": "{account}"}, [{}, {"account": "b"}]),
    (
        "/v1/audit/events",
        {"account": "{account}"},
        [
            {},
            {"account": "other"},
            {"account": "{account}", "order": "asc"},
            {"account": "{account}", "type": "TokensGranted"},
            {"account": "{account}", "actor": "test"},
            {"account": "{account}", "from": "2000-01-01T00:00:00Z"},
            {"account": "{account}", "to": "2999-01-01T00:00:00Z"},
            {"account": "{account}", "after": "0"},
            {"account": "{account}", "before": "1000000"},
        ],
    ),
]


def asked(client: httpx.Client, account: str, route: str, query: dict[str, Any]) -> httpx.Response:
    filled = {name: str(value).format(account=account) for name, value in query.items()}
    return client.get(route.format(account=account), params=filled)


@pytest.mark.parametrize(("route", "query", "others"), LISTS)
def test_other_filters_refuse_it_and_another_size_of_page_does_not(
    client: httpx.Client,
    account: str,
    route: str,
    query: dict[str, Any],
    others: list[dict[str, Any]],
) -> None:
    first = asked(client, account, route, {**query, "limit": 1})
    assert first.status_code == 200, first.text
    cursor = first.json()["next_cursor"]
    assert cursor is not None
    second = asked(client, account, route, {**query, "limit": 2, "cursor": cursor})
    assert second.status_code == 200, second.text
    assert second.json()["items"][0] != first.json()["items"][0]
    for other in others:
        answer = asked(client, account, route, {**other, "limit": 1, "cursor": cursor})
        assert fields(refused(answer, 422, "INVALID_INPUT")) == ["cursor"], other


def test_no_list_takes_anothers(client: httpx.Client, account: str) -> None:
    routes = sorted({route for route, _, _ in LISTS})
    cursors = {
        route: asked(client, account, route, {"limit": 1}).json()["next_cursor"] for route in routes
    }
    assert all(cursors.values())
    for ours in routes:
        for theirs in set(routes) - {ours}:
            answer = asked(client, account, ours, {"limit": 1, "cursor": cursors[theirs]})
            problem = refused(answer, 422, "INVALID_INPUT")
            assert fields(problem) == ["cursor"], (ours, theirs)


def test_no_account_takes_anothers(api: Api, client: httpx.Client, account: str) -> None:
    other = api.account()
    cursor = asked(client, account, "/v1/transactions", {"limit": 1}).json()["next_cursor"]
    user = api.client(api.key(other))
    answer = user.get("/v1/transactions", params={"cursor": cursor})
    assert fields(refused(answer, 422, "INVALID_INPUT")) == ["cursor"]
    timeline = "/v1/audit/accounts/{account}/timeline"
    cursor = asked(client, account, timeline, {"limit": 1}).json()["next_cursor"]
    answer = asked(client, other, timeline, {"cursor": cursor})
    assert fields(refused(answer, 422, "INVALID_INPUT")) == ["cursor"]


def test_a_timeline_has_no_page_before_its_first_event(client: httpx.Client, account: str) -> None:
    forged = Listing("timeline", account=account).cursor(1)
    answer = asked(client, account, "/v1/audit/accounts/{account}/timeline", {"cursor": forged})
    assert fields(refused(answer, 422, "INVALID_INPUT")) == ["cursor"]


@pytest.mark.parametrize("text", ["%ED%A0%80", "%FF", "%F0%9F%98%80"])
def test_filters_in_no_encoding_are_no_trouble(client: httpx.Client, text: str) -> None:
    for url in (f"/v1/audit/reads?reader={text}", f"/v1/audit/accounts?q={text}"):
        assert client.get(url).status_code == 200
    assert client.get(f"/v1/audit/events?actor={text}").status_code == 200
    assert client.get(f"/v1/audit/accounts/{text}/timeline").status_code == 404
