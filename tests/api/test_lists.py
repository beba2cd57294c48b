"""Lists that many ask for at the same time: everybody's own, and nobody waits for another."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.accounts.numbers import Numbers, numbers_of_all
from api.http.cursors import Listing
from api_client import Api
from ledger.commands import ChangeMembership, Submission
from projections import level
from projections.advance import advance

BODY = {"prompt_id": "dreamy-forest"}
CALLERS = 32


def make(api: Api, user: httpx.Client, images: int = 1) -> None:
    api.succeed(user.post("/v1/generations", json=BODY | {"count": images}).json(), images)


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def test_whoever_asks_at_the_same_time_is_given_their_own(api: Api) -> None:
    users = [api.user(tokens=1_000, member=number % 2 == 0) for number in range(8)]
    for number, user in enumerate(users):
        for _ in range(number):
            make(api, user)
    lists = ("/v1/images?limit=3", "/v1/images?favorite=false", "/v1/transactions")
    paths = (*lists, "/v1/balance", "/v1/generations")

    def ask(number: int) -> list[Any]:
        return [users[number].get(path).json() for path in (*paths, "/v1/prompts")]

    alone = [ask(number) for number in range(len(users))]
    with ThreadPoolExecutor(CALLERS) as threads:
        at_once = list(threads.map(ask, [n % len(users) for n in range(CALLERS * 2)]))
    assert at_once == [alone[n % len(users)] for n in range(CALLERS * 2)]
    for number, (some, images, lines, balance, made, prompts) in enumerate(alone):
        assert len(some["items"]) == min(number, 3)
        assert (some["next_cursor"] is None) == (number <= 3)
        assert [image["id"] for image in images["items"][:3]] == [i["id"] for i in some["items"]]
        assert len(images["items"]) == number
        assert len(lines["items"]) == number + 1
        assert balance["settled"] == lines["items"][0]["balance"] == 1_000 - 5 * number
        assert [item["remaining_tokens"] for item in made["items"]] == (
            [balance["available"]] * number
        )
        assert [i["id"] for item in made["items"] for i in item["images"]] == (
            [image["id"] for image in images["items"]]
        )
        locked = [prompt["members_only"] and number % 2 == 1 for prompt in prompts["items"]]
        assert [prompt["locked"] for prompt in prompts["items"]] == locked


@pytest.mark.parametrize("path", ["/v1/images", "/v1/transactions", "/v1/generations"])
def test_whose_view_is_behind_is_waited_for_and_delays_nobody(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    behind, level_with_it = api.user(), api.user()
    for user in (behind, level_with_it):
        make(api, user)
        user.get(path)
    before = ids(behind.get(path))
    make(api, behind)
    go = threading.Event()

    def advance_once_let(connection: Any) -> int:
        assert go.wait(60)
        return advance(connection)

    monkeypatch.setattr(level, "advance", advance_once_let)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(behind.get, path)
        for _ in range(5):
            assert ids(level_with_it.get(path))
        assert not waiting.done()
        go.set()
        found = ids(waiting.result(60))
    assert (len(found), found[1:]) == (len(before) + 1, before)


def test_a_cursor_beyond_all_places_disturbs_nobody(api: Api) -> None:
    """It can be made up: its mark is no secret."""
    account_id = api.account(tokens=100)
    user, other = api.client(api.key(account_id)), api.user()
    make(api, user)
    make(api, other)
    listing = Listing("images", account=account_id, favorite=None, q=None)
    far = listing.cursor(2**63 - 1, 2**63 - 1)
    with ThreadPoolExecutor(CALLERS) as threads:
        answers = [
            threads.submit(client.get, "/v1/images", params=given)
            for client, given in [(user, {"cursor": far}), (other, {})] * 10
        ]
        assert all(len(ids(answer.result())) == 1 for answer in answers)


def test_a_prompt_that_was_hidden_or_changed_is_so_in_the_next_list(api: Api) -> None:
    admin, user = api.admin(), api.user()
    made = admin.post("/v1/prompts", json={"title": "A", "content": "x", "members_only": True})
    url = f"/v1/prompts/{made.json()['id']}"
    for _ in range(8):  # also once the question has been prepared
        shown = user.get("/v1/prompts").json()["items"][0]
        assert (shown["id"], shown["locked"]) == (made.json()["id"], True)
    admin.patch(url, json={"members_only": False})
    assert user.get("/v1/prompts").json()["items"][0]["locked"] is False
    assert admin.delete(url).status_code == 204
    assert made.json()["id"] not in ids(user.get("/v1/prompts"))


def test_numbers_are_those_that_the_account_s_facts_lead_to(api: Api) -> None:
    account_id, plain = api.account(tokens=100, member=True), api.account(tokens=3)
    user = api.client(api.key(account_id))
    make(api, user)
    user.post("/v1/generations", json=BODY)
    for is_member in (False, True, False):
        command = ChangeMembership(account_id=account_id, is_member=is_member, note_id=None)
        api.services.ledger.record(Submission(command=command, actor="test"))
        with api.services.pool.connection() as connection:
            found, nobody, other, again = numbers_of_all(
                connection, [account_id, "nobody", plain, account_id]
            )
        account = api.services.ledger.account(account_id)
        assert found == again
        assert found == Numbers(
            is_member=is_member,
            settled=account.settled,
            held=account.held,
            position=api.services.ledger.head(),
        )
        assert (account.settled, account.held, nobody) == (95, 5, None)
        assert other
        assert (other.is_member, other.settled, other.held) == (False, 3, 0)
