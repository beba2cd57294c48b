"""The short way of an acceptance: taken where it can be, and nowhere other than the long one."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import httpx
import pytest

from api.connection import Connection
from api.credentials import key_hash
from api.gathering import Gathered
from api.generations import entering, recent
from api.generations.entering import Asking, Entered, Entering, enter
from api.generations.recent import RecentKeys
from api_client import Api
from ledger.identity import new_id
from problems import fields, refused

BODY = {"prompt_id": "dreamy-forest"}
KEY = {"Idempotency-Key": "order-1"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def questions(api: Api) -> Iterator[list[str]]:
    """Which questions acceptances ask of the database, in order."""
    asked: list[str] = []
    services = api.services
    watched: list[tuple[Gathered[Any, Any], Any]] = []

    def watch(name: str, look: Any, connection: Connection, given: Sequence[Any]) -> Any:
        asked.append(name)
        return look(connection, given)

    each: dict[str, Gathered[Any, Any]] = {
        "entering": services.entering.question,
        "keys": services.keys,
        "before": services.before,
    }
    for name, gathered in each.items():
        look = gathered._look
        watched.append((gathered, look))
        gathered._look = partial(watch, name, look)
    yield asked
    for gathered, look in watched:
        gathered._look = look


def ask(user: httpx.Client, **changes: Any) -> httpx.Response:
    return user.post("/v1/generations", json=BODY, **changes)


def test_one_question_is_asked_where_the_request_is_plain(api: Api, questions: list[str]) -> None:
    assert ask(api.user()).status_code == 202
    assert ask(api.user(), headers=KEY).status_code == 202
    assert questions == ["entering", "entering"]


def test_none_is_asked_of_a_key_and_a_prompt_that_are_remembered(
    api: Api, questions: list[str]
) -> None:
    user, other = api.user(), api.user()
    for each in (user, other, user, other):
        assert ask(each).status_code == 202
    assert questions == ["entering", "entering"]
    for prompt_id in ("future-city", "dreamy-forest", "future-city"):
        body = {"prompt_id": prompt_id}
        assert user.post("/v1/generations", json=body).status_code == 202
    assert questions == ["entering", "entering", "entering"]


def test_a_price_that_changed_is_noticed_at_once(api: Api) -> None:
    user, admin = api.user(tokens=100), api.admin()
    text = {"title": "T", "content": "c", "token_cost": 3}
    prompt = admin.post("/v1/prompts", json=text).json()

    def held(**more: Any) -> httpx.Response:
        return user.post("/v1/generations", json={"prompt_id": prompt["id"], **more})

    for cost in (3, 4, 5):
        change = {"token_cost": cost}
        assert admin.patch(f"/v1/prompts/{prompt['id']}", json=change).status_code == 200
        assert [held().json()["cost"]["held"] for _ in range(2)] == [cost, cost]
    assert admin.patch(f"/v1/prompts/{prompt['id']}", json={"token_cost": 6}).status_code == 200
    assert ask(user).status_code == 202  # so that the caller is known on other terms than the price
    refused(held(expected_cost=5), 409, "PRICE_CHANGED")
    assert held(expected_cost=6).status_code == 202


def test_what_is_remembered_may_change_each_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user = api.user()
    assert ask(user).status_code == 202
    remembered = Entering.remembered

    def outdated(entering: Entering, asking: Asking) -> Entered | None:
        found = remembered(entering, asking)
        return found and found._replace(terms=new_id())

    monkeypatch.setattr(Entering, "remembered", outdated)
    for number in range(2, 5):
        answer = ask(user, headers={"Idempotency-Key": f"order-{number}"})
        assert (answer.status_code, answer.json()["cost"]["held"]) == (202, 5)
    assert user.get("/v1/balance").json()["held"] == 20


def test_what_is_gone_is_forgotten(api: Api) -> None:
    account_id = api.account()
    key = api.key(account_id)
    admin, user = api.admin(), api.client(key)
    prompt = admin.post("/v1/prompts", json={"title": "T", "content": "c", "token_cost": 3}).json()
    body = {"prompt_id": prompt["id"]}
    assert user.post("/v1/generations", json=body).status_code == 202
    entering = api.services.entering
    assert entering.remembered(Asking(key_hash(key), prompt["id"])) is not None
    assert admin.delete(f"/v1/prompts/{prompt['id']}").status_code == 204
    with api.services.pool.connection() as connection:
        connection.execute(
            "UPDATE api_keys SET revoked_at = now() WHERE account_id = %s", [account_id]
        )
    refused(user.post("/v1/generations", json=body), 401, "UNAUTHENTICATED")
    assert prompt["id"] not in entering._offers
    assert key_hash(key) not in entering._callers


def test_without_terms_nothing_is_remembered(
    api: Api, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user, question = api.user(), api.services.entering.question
    look = question._look

    def bare(connection: Connection, asked: Sequence[Asking]) -> list[Entered]:
        return [found._replace(terms=None) for found in look(connection, asked)]

    monkeypatch.setattr(question, "_look", bare)
    for _ in range(2):
        assert ask(user).status_code == 202
    assert questions == ["entering", "entering"]


def test_no_more_than_so_many_are_remembered(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entering, "REMEMBERED_MAX", 3)
    asked = [Asking(key_hash(api.key(api.account())), "dreamy-forest") for _ in range(5)]
    remembering = Entering(api.services.entering.question)

    async def ask_all() -> None:
        for number, asking in enumerate(asked):
            found = await remembering.ask(asking)
            assert remembering.remembered(asking) == found
            assert len(remembering._callers) == number % 3 + 1

    asyncio.run(ask_all())
    assert remembering.remembered(asked[0]) is None


@pytest.mark.parametrize(
    "more",
    [
        {"headers": {"Prefer": "wait=1"}},
        {"headers": [("Accept-Language", "en"), ("Accept-Language", "zh")]},
        {"headers": {"Content-Type": "application/json; charset=utf-8; x=y"}},
        {"content": iter([json.dumps(BODY).encode()]), "headers": JSON},  # chunked
    ],
)
def test_whatever_is_not_plain_takes_the_long_way(
    api: Api, questions: list[str], more: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"json": BODY} if "content" not in more else {}
    assert api.user().post("/v1/generations", **given, **more).status_code == 202
    assert questions == ["keys", "before"]


def test_a_wrong_body_is_told_to_known_callers_only(api: Api) -> None:
    wrong = {"prompt_id": "dreamy-forest", "count": 9}
    stranger = api.client("mint_nobody")
    refused(stranger.post("/v1/generations", json=wrong), 401, "UNAUTHENTICATED")
    refused(stranger.post("/v1/generations", json=BODY), 401, "UNAUTHENTICATED")
    problem = refused(api.user().post("/v1/generations", json=wrong), 422, "INVALID_INPUT")
    assert fields(problem) == ["count"]


def test_a_revoked_key_is_refused_at_once(api: Api) -> None:
    account_id = api.account()
    user = api.client(api.key(account_id))
    assert ask(user).status_code == 202
    with api.services.pool.connection() as connection:
        connection.execute(
            "UPDATE api_keys SET revoked_at = now() WHERE account_id = %s", [account_id]
        )
    refused(ask(user), 401, "UNAUTHENTICATED")


def test_a_revoked_key_is_not_told_of_what_it_asked_before(api: Api) -> None:
    account_id = api.account()
    user = api.client(api.key(account_id))
    assert ask(user, headers=KEY).status_code == 202
    with api.services.pool.connection() as connection:
        connection.execute(
            "UPDATE api_keys SET revoked_at = now() WHERE account_id = %s", [account_id]
        )
    refused(ask(user, headers=KEY), 401, "UNAUTHENTICATED")


def test_a_key_without_an_account_is_refused(api: Api) -> None:
    key = api.key(None, role="support")
    refused(ask(api.client(key)), 403, "FORBIDDEN")
    refused(api.client(key).post("/v1/generations", json={"prompt_id": "x"}), 403, "FORBIDDEN")


def test_a_prompt_that_is_not_there_or_hidden_is_refused(api: Api) -> None:
    user, admin = api.user(), api.admin()
    refused(user.post("/v1/generations", json={"prompt_id": "x"}), 404, "PROMPT_NOT_FOUND")
    text = {"title": "T", "content": "c", "token_cost": 3}
    prompt = admin.post("/v1/prompts", json=text).json()
    body = {"prompt_id": prompt["id"]}
    assert user.post("/v1/generations", json=body).json()["cost"]["held"] == 3
    assert admin.delete(f"/v1/prompts/{prompt['id']}").status_code == 204
    refused(user.post("/v1/generations", json=body), 404, "PROMPT_NOT_FOUND")


def test_a_key_used_just_now_is_looked_up_first(api: Api, questions: list[str]) -> None:
    user = api.user()
    first = ask(user, headers=KEY).json()
    again = ask(user, headers=KEY)
    assert (again.json()["id"], again.headers["Idempotency-Replayed"]) == (first["id"], "true")
    assert questions == ["entering", "keys", "before"]


def test_a_key_that_came_with_other_input_is_looked_up_first_the_next_time(
    api: Api, questions: list[str]
) -> None:
    user = api.user()
    ask(user, headers=KEY)
    api.services.recent_keys._ids.clear()  # it was used elsewhere
    for asked in (["entering"], ["entering", "keys", "before"]):
        other = user.post("/v1/generations", json={**BODY, "aspect_ratio": "3:2"}, headers=KEY)
        refused(other, 422, "IDEMPOTENCY_KEY_REUSED")
        assert questions == asked


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each request came to another process, or days later."""
    monkeypatch.setattr(RecentKeys, "__contains__", lambda *_: False)


@pytest.mark.usefixtures("forgetful")
def test_a_key_used_elsewhere_is_the_same_generation(api: Api, questions: list[str]) -> None:
    user = api.user(tokens=5)
    first = ask(user, headers=KEY).json()
    for _ in range(2):
        again = ask(user, headers=KEY)
        assert (again.json()["id"], again.headers["Idempotency-Replayed"]) == (first["id"], "true")
    other = user.post("/v1/generations", json={**BODY, "aspect_ratio": "3:2"}, headers=KEY)
    refused(other, 422, "IDEMPOTENCY_KEY_REUSED")
    assert set(questions) == {"entering"}
    assert user.get("/v1/balance").json()["held"] == 5


@pytest.mark.usefixtures("forgetful")
def test_a_key_used_elsewhere_comes_before_price_prompt_and_balance(api: Api) -> None:
    admin = api.admin()
    text = {"title": "T", "content": "c", "token_cost": 3}
    prompt = admin.post("/v1/prompts", json=text).json()
    user = api.user(tokens=3)
    body = {"prompt_id": prompt["id"], "expected_cost": 3}
    first = user.post("/v1/generations", json=body, headers=KEY).json()
    api.succeed(first)

    def again() -> tuple[int, str]:
        answer = user.post("/v1/generations", json=body, headers=KEY)
        return answer.status_code, answer.json()["id"]

    change = {"token_cost": 9, "members_only": True}
    assert admin.patch(f"/v1/prompts/{prompt['id']}", json=change).status_code == 200
    assert again() == (200, first["id"])
    assert admin.delete(f"/v1/prompts/{prompt['id']}").status_code == 204
    assert again() == (200, first["id"])
    assert user.get("/v1/balance").json()["settled"] == 0


def test_many_at_once_each_get_their_own(api: Api) -> None:
    accounts = [api.account() for _ in range(3)]
    prompts = ["future-city", "dreamy-forest", "nothing"]
    asked = [
        Asking(key_hash(api.key(account_id)), prompt_id)
        for account_id, prompt_id in zip(accounts, prompts, strict=True)
    ]
    with api.services.pool.connection() as connection:
        found = enter(connection, [*asked, Asking(b"nobody", "dreamy-forest"), asked[0]])
    callers = [each.caller and each.caller.account_id for each in found]
    assert callers == [*accounts, None, accounts[0]]
    offers = [each.offer and each.offer.prompt.id for each in found]
    assert offers == ["future-city", "dreamy-forest", None, "dreamy-forest", "future-city"]


def test_the_oldest_of_too_many_recent_keys_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "RECENT_MAX", 3)
    keys, ids = RecentKeys(), [new_id() for _ in range(5)]
    for each in ids:
        keys.add(each)
    assert [each in keys for each in ids] == [False, False, True, True, True]


def test_a_parameter_and_other_methods_are_refused_as_ever(api: Api) -> None:
    user = api.user()
    problem = refused(user.post("/v1/generations?x=1", json=BODY), 422, "INVALID_INPUT")
    assert fields(problem) == ["x"]
    assert user.put("/v1/generations", json=BODY).status_code == 405
    assert user.post("/v1/generations/", json=BODY).status_code == 202
