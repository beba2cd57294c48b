"""The same key is the same generation: later, ended, elsewhere, with the price changed."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from anyio import to_thread

import databases
from api.generations import requesting
from api.services import Services
from api_client import Api, png, serving, settings_for
from ledger.ledger import Ledger
from problems import fields, refused

BODY = {"prompt_id": "dreamy-forest"}
KEY = {"Idempotency-Key": "order-1"}


def ask(user: httpx.Client, **changes: Any) -> httpx.Response:
    return user.post("/v1/generations", json={**BODY, **changes}, headers=KEY)


def test_a_replay_is_the_same_generation_in_its_current_state(api: Api) -> None:
    user = api.user(tokens=5)
    first = ask(user)
    assert first.status_code == 202
    assert "Idempotency-Replayed" not in first.headers
    again = ask(user)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    api.succeed(first.json())
    ended = ask(user)
    assert ended.status_code == 200
    assert (ended.json()["id"], ended.json()["status"]) == (first.json()["id"], "succeeded")
    assert user.get("/v1/balance").json()["settled"] == 0


def test_defaults_filled_in_are_the_same_input(api: Api) -> None:
    user = api.user()
    first = ask(user).json()
    same = ask(user, count=1, aspect_ratio="1:1", expected_cost=None, reference_image=None)
    assert same.json()["id"] == first["id"]


@pytest.mark.parametrize(
    "other",
    [
        {"count": 2},
        {"aspect_ratio": "3:2"},
        {"expected_cost": 5},
        {"prompt_id": "future-city"},
        {"reference_image": base64.b64encode(png()).decode()},
    ],
)
def test_other_input_is_refused(api: Api, other: dict[str, Any]) -> None:
    user = api.user()
    ask(user)
    refused(ask(user, **other), 422, "IDEMPOTENCY_KEY_REUSED")
    assert user.get("/v1/balance").json()["held"] == 5


def test_json_and_multipart_agree_and_other_bytes_do_not(api: Api) -> None:
    user = api.user()
    picture = png(12)
    first = ask(user, reference_image=base64.b64encode(picture).decode(), count=2).json()
    files = {"reference_image": ("photo.png", picture, "image/png")}
    form = {**BODY, "count": "2"}
    second = user.post("/v1/generations", data=form, files=files, headers=KEY)
    assert second.json()["id"] == first["id"]
    files = {"reference_image": ("photo.png", png(13), "image/png")}
    third = user.post("/v1/generations", data=form, files=files, headers=KEY)
    refused(third, 422, "IDEMPOTENCY_KEY_REUSED")
    account_id = first["account_id"]
    assert len(api.services.storage.list(f"{account_id}/")) == 1


def test_a_replay_comes_before_price_prompt_membership_and_balance(api: Api) -> None:
    admin = api.admin()
    prompt = admin.post("/v1/prompts", json={"title": "T", "content": "c", "token_cost": 3}).json()
    user = api.user(tokens=3)
    body = {"prompt_id": prompt["id"], "expected_cost": 3}
    first = user.post("/v1/generations", json=body, headers=KEY).json()
    api.succeed(first)
    change = {"token_cost": 9, "members_only": True}
    assert admin.patch(f"/v1/prompts/{prompt['id']}", json=change).status_code == 200
    again = user.post("/v1/generations", json=body, headers=KEY)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert admin.delete(f"/v1/prompts/{prompt['id']}").status_code == 204
    again = user.post("/v1/generations", json=body, headers=KEY)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert again.json()["cost"] == {"held": 0, "charged": 3}
    assert again.json()["prompt"]["title"] == "T"


def test_a_refusal_is_not_remembered(api: Api) -> None:
    account_id = api.account(tokens=0)
    user = api.client(api.key(account_id))
    refused(ask(user), 402, "INSUFFICIENT_TOKENS")
    api.grant(account_id, 5)
    accepted = ask(user)
    assert accepted.status_code == 202
    assert "Idempotency-Replayed" not in accepted.headers


def test_another_accounts_same_key_is_its_own_and_without_a_key_every_call_is_new(
    api: Api,
) -> None:
    one, other = api.user(), api.user()
    ids = {ask(one).json()["id"], ask(other).json()["id"]}
    ids |= {one.post("/v1/generations", json=BODY).json()["id"] for _ in range(2)}
    assert len(ids) == 4


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "tab\there", "schlüssel"])
def test_a_key_that_is_not_1_to_255_visible_characters_is_named(api: Api, key: str) -> None:
    user = api.user()
    raw = [(b"Idempotency-Key", key.encode("latin-1"))]
    answer = user.post("/v1/generations", json=BODY, headers=httpx.Headers(raw))
    assert fields(refused(answer, 422, "INVALID_INPUT")) == ["Idempotency-Key"]


@pytest.mark.parametrize("key", ["!", "~" * 255])
def test_the_longest_and_the_shortest_key(api: Api, key: str) -> None:
    headers = {"Idempotency-Key": key}
    assert api.user().post("/v1/generations", json=BODY, headers=headers).status_code == 202


@pytest.fixture(scope="module")
def two(
    database_server: databases.TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, Api]]:
    """Two services over one database and one folder."""
    home = tmp_path_factory.mktemp("two")
    with database_server.database() as database:
        settings = settings_for(database.url, home)
        with serving(settings) as one, serving(settings) as other:
            yield one, other


def test_two_hundred_at_once_with_one_key_are_one_generation(two: tuple[Api, Api]) -> None:
    account_id = two[0].account(tokens=1000)
    key = two[0].key(account_id)
    users = [api.client(key) for api in two]
    picture = base64.b64encode(png(64)).decode()
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda n: ask(users[n % 2], reference_image=picture), range(200)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert users[0].get("/v1/balance").json()["held"] == 5
    # What lost the race left nothing behind.
    assert len(two[0].services.storage.list(f"{account_id}/")) == 1


def test_many_at_once_on_one_account_never_overspend(two: tuple[Api, Api]) -> None:
    key = two[0].key(two[0].account(tokens=100))
    users = [api.client(key) for api in two]
    with ThreadPoolExecutor(64) as pool:
        answers = list(
            pool.map(lambda n: users[n % 2].post("/v1/generations", json=BODY), range(200))
        )
    codes = [answer.status_code for answer in answers]
    assert (codes.count(202), codes.count(402)) == (20, 180)
    assert users[1].get("/v1/balance").json()["available"] == 0


@pytest.mark.parametrize(
    ("step", "has_reference"), [("_record", False), ("_record", True), ("_dry_run", True)]
)
def test_what_another_process_records_meanwhile_refuses_nobody(
    two: tuple[Api, Api], monkeypatch: pytest.MonkeyPatch, step: str, *, has_reference: bool
) -> None:
    """The other one spends the last tokens on this very key, after we have looked for it."""
    account_id = two[0].account(tokens=5)
    key = two[0].key(account_id)
    one, other = (api.client(key) for api in two)
    reference = base64.b64encode(png(64)).decode() if has_reference else None
    answers: list[httpx.Response] = []
    next_step = getattr(requesting, step)

    def ask_other() -> None:
        if not answers:
            answers.append(ask(other, reference_image=reference))

    async def record_later(services: Services, *rest: Any) -> Any:
        if services is two[0].services:
            await to_thread.run_sync(ask_other)
        return await next_step(services, *rest)

    def dry_run_later(ledger: Ledger, *rest: Any) -> None:  # in a thread
        if ledger is two[0].services.ledger:
            ask_other()
        next_step(ledger, *rest)

    later = record_later if step == "_record" else dry_run_later
    monkeypatch.setattr(requesting, step, later)
    answer = ask(one, reference_image=reference)
    assert (answer.status_code, answers[0].status_code) == (202, 202)
    assert answer.json()["id"] == answers[0].json()["id"]
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert one.get("/v1/balance").json()["held"] == 5
