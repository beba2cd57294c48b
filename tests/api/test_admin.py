"""What admins do: accounts, keys, grants, revocations, refunds, prompts. Support only reads."""

from typing import Any

import httpx
import pytest

from api_client import Api
from ledger.identity import new_id
from problems import fields, refused

BODY = {"prompt_id": "dreamy-forest"}


def email() -> str:
    return f"{new_id()}@Example.com"


def test_an_account_is_opened_with_its_welcome_and_found_by_its_key(api: Api) -> None:
    admin = api.admin()
    address = email()
    answer = admin.post("/v1/accounts", json={"email": address, "name": "某人"})
    account = answer.json()
    assert answer.status_code == 201
    assert account["email"] == address.lower()
    assert (account["name"], account["role"], account["is_member"]) == ("某人", "user", False)
    assert (account["available"], account["held"], account["settled"]) == (100, 0, 100)
    key = admin.post(f"/v1/accounts/{account['id']}/keys", json={"role": "user", "name": "k"})
    assert key.status_code == 201
    user = api.client(key.json()["key"])
    assert user.get("/v1/me").json() == {
        "account_id": account["id"],
        "is_member": False,
        "available": 100,
        "held": 0,
        "settled": 100,
        "position": account["position"],
        "email": address.lower(),
        "name": "某人",
        "role": "user",
    }
    (welcome,) = user.get("/v1/transactions").json()["items"]
    assert (welcome["type"], welcome["amount"], welcome["balance"]) == ("token_grant", 100, 100)


def test_an_account_without_tokens(api: Api) -> None:
    body = {"id": f"a-{new_id()}", "email": email(), "tokens": 0, "is_member": True}
    account = api.admin().post("/v1/accounts", json=body).json()
    assert (account["id"], account["available"], account["is_member"]) == (body["id"], 0, True)


def test_an_id_or_an_address_that_is_taken(api: Api) -> None:
    admin = api.admin()
    first = {"id": f"a-{new_id()}", "email": email()}
    assert admin.post("/v1/accounts", json=first).status_code == 201
    again = admin.post("/v1/accounts", json={**first, "email": email()})
    refused(again, 409, "CONFLICT")
    other = {"email": first["email"].upper()}
    problem = refused(admin.post("/v1/accounts", json=other), 409, "CONFLICT")
    assert "e-mail" in problem["detail"]


def test_membership_name_and_role_change_and_keys_keep_their_role(api: Api) -> None:
    admin = api.admin()
    account_id = api.account()
    user = api.client(api.key(account_id))
    change = {"is_member": True, "name": "Renamed", "role": "support"}
    account = admin.patch(f"/v1/accounts/{account_id}", json=change).json()
    assert {name: account[name] for name in change} == change
    me = user.get("/v1/me").json()
    assert (me["is_member"], me["name"], me["role"]) == (True, "Renamed", "user")
    same = admin.patch(f"/v1/accounts/{account_id}", json={"is_member": True}).json()
    assert same == account
    refused(admin.patch("/v1/accounts/nobody", json={"name": "x"}), 404, "NOT_FOUND")
    refused(admin.patch("/v1/accounts/no%00body", json={"name": "x"}), 404, "NOT_FOUND")


def test_a_note_says_why_membership_changed(api: Api) -> None:
    admin = api.admin()
    account_id = api.account()
    url = f"/v1/accounts/{account_id}"
    assert admin.patch(url, json={"is_member": True, "note": "a year, paid"}).is_success
    timeline = f"/v1/audit/accounts/{account_id}/timeline"
    newest = admin.get(timeline).json()["items"][0]
    assert (newest["type"], newest["note"]) == ("MembershipChanged", "a year, paid")
    assert admin.patch(url, json={"is_member": True, "note": "again"}).is_success
    assert admin.patch(url, json={"is_member": False}).is_success
    items = admin.get(timeline).json()["items"]
    assert [item["note"] for item in items[:2]] == [None, "a year, paid"]
    assert items[0]["data"] == {"is_member": False}
    problem = refused(admin.patch(url, json={"name": "x", "note": "y"}), 422, "INVALID_INPUT")
    assert fields(problem) == ["note"]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("welcome", "token_grant"),
        ("promo", "token_grant"),
        ("purchase", "token_purchase"),
        ("adjustment", "token_adjustment"),
    ],
)
def test_a_grant(api: Api, reason: str, kind: str) -> None:
    account_id = api.account(tokens=1)
    body = {"amount": 10, "reason": reason, "note": "as agreed"}
    answer = api.admin().post(f"/v1/accounts/{account_id}/grants", json=body)
    grant = answer.json()
    assert answer.status_code == 201
    assert (grant["account_id"], grant["type"]) == (account_id, kind)
    assert (grant["amount"], grant["balance"], grant["available"]) == (10, 11, 11)
    user = api.client(api.key(account_id))
    line = user.get("/v1/transactions").json()["items"][0]
    assert line == {name: grant[name] for name in line}
    with api.services.pool.connection() as connection:
        row = connection.execute(
            "SELECT text FROM notes WHERE account_id = %s", (account_id,)
        ).fetchone()
    assert row == ("as agreed",)


def test_a_reference_is_granted_once_and_a_key_answers_the_same(api: Api) -> None:
    admin = api.admin()
    account_id = api.account(tokens=0)
    url = f"/v1/accounts/{account_id}/grants"
    body = {"amount": 10, "reason": "purchase", "reference": "pay-1"}
    key = {"Idempotency-Key": "grant-1"}
    first = admin.post(url, json=body, headers=key)
    again = admin.post(url, json=body, headers=key)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    refused(admin.post(url, json=body), 409, "CONFLICT")
    other = admin.post(url, json={**body, "amount": 11}, headers=key)
    refused(other, 422, "IDEMPOTENCY_KEY_REUSED")
    assert api.client(api.key(account_id)).get("/v1/balance").json()["settled"] == 10


def test_a_revocation_is_whole_or_not_at_all(api: Api) -> None:
    admin = api.admin()
    account_id = api.account(tokens=10)
    url = f"/v1/accounts/{account_id}/revocations"
    problem = refused(
        admin.post(url, json={"amount": 11, "note": "too much"}), 402, "INSUFFICIENT_TOKENS"
    )
    assert (problem["cost"], problem["available"]) == (11, 10)
    assert fields(refused(admin.post(url, json={"amount": 4}), 422, "INVALID_INPUT")) == ["note"]
    taken = admin.post(url, json={"amount": 4, "note": "mistake"}).json()
    assert (taken["amount"], taken["balance"], taken["type"]) == (-4, 6, "token_adjustment")


def test_a_refund_once_and_only_of_a_charge(api: Api) -> None:
    admin, user = api.admin(), api.user(tokens=10)
    asked = user.post("/v1/generations", json=BODY).json()
    url = f"/v1/generations/{asked['id']}/refund"
    refused(admin.post(url, json={"note": "open"}), 409, "CONFLICT")
    api.succeed(asked)
    refund = admin.post(url, json={"note": "sorry"}).json()
    assert (refund["amount"], refund["balance"], refund["type"]) == (5, 10, "token_refund")
    assert refund["generation_id"] == asked["id"]
    refused(admin.post(url, json={"note": "again"}), 409, "CONFLICT")
    failed = user.post("/v1/generations", json=BODY).json()
    api.fail(failed, "timeout")
    failed_url = f"/v1/generations/{failed['id']}/refund"
    refused(admin.post(failed_url, json={"note": "free"}), 409, "CONFLICT")
    refused(admin.post(f"/v1/generations/{new_id()}/refund", json={"note": "x"}), 404, "NOT_FOUND")
    assert len(user.get("/v1/images").json()["items"]) == 1


def test_a_key_is_shown_once_listed_and_stops_at_once(api: Api) -> None:
    admin = api.admin()
    account_id = api.account()
    url = f"/v1/accounts/{account_id}/keys"
    made = admin.post(url, json={"role": "user", "name": "laptop"}).json()
    assert made["key"].startswith("mint_")
    assert len(made["key"]) >= 48
    with api.services.pool.connection() as connection:
        assert not connection.execute(
            "SELECT FROM api_keys WHERE position(%s IN api_keys::text) > 0", (made["key"],)
        ).fetchone()
    listed = admin.get(url).json()["items"]
    assert [key["name"] for key in listed] == ["laptop"]
    assert "key" not in listed[0]
    user = api.client(made["key"])
    assert user.get("/v1/balance").status_code == 200
    other = f"/v1/accounts/{api.account()}/keys/{made['id']}"
    refused(admin.delete(other), 404, "NOT_FOUND")
    assert admin.delete(f"{url}/{made['id']}").status_code == 204
    refused(user.get("/v1/balance"), 401, "UNAUTHENTICATED")
    assert admin.get(url).json()["items"][0]["revoked_at"] is not None
    refused(admin.get("/v1/accounts/nobody/keys"), 404, "NOT_FOUND")
    refused(
        admin.post("/v1/accounts/nobody/keys", json={"role": "user", "name": "k"}), 404, "NOT_FOUND"
    )


def test_keys_in_pages(api: Api) -> None:
    admin = api.admin()
    account_id = api.account()
    url = f"/v1/accounts/{account_id}/keys"
    for name in ("one", "two", "three"):
        admin.post(url, json={"role": "user", "name": name})
    page = admin.get(url, params={"limit": 2}).json()
    rest = admin.get(url, params={"limit": 2, "cursor": page["next_cursor"]}).json()
    names = [key["name"] for key in page["items"] + rest["items"]]
    assert (names, rest["next_cursor"]) == (["three", "two", "one"], None)


NOBODYS = "01930000-0000-7000-8000-0000000000e1"
ADMIN_ONLY: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/v1/accounts", {"email": "x@example.com"}),
    ("PATCH", "/v1/accounts/demo-user-123", {"name": "x"}),
    ("POST", "/v1/accounts/demo-user-123/grants", {"amount": 1, "reason": "promo"}),
    ("POST", "/v1/accounts/demo-user-123/revocations", {"amount": 1, "note": "x"}),
    ("POST", f"/v1/generations/{NOBODYS}/refund", {"note": "x"}),
    ("POST", "/v1/accounts/demo-user-123/keys", {"role": "admin", "name": "x"}),
    ("DELETE", f"/v1/accounts/demo-user-123/keys/{NOBODYS}", None),
    ("POST", "/v1/prompts", {"title": "x", "content": "x"}),
    ("PATCH", "/v1/prompts/dreamy-forest", {"title": "x"}),
    ("DELETE", "/v1/prompts/dreamy-forest", None),
]


@pytest.mark.parametrize(("method", "url", "body"), ADMIN_ONLY)
@pytest.mark.parametrize("role", ["user", "support"])
def test_only_admins_change_anything(
    api: Api, role: Any, method: str, url: str, body: dict[str, Any] | None
) -> None:
    caller = api.client(api.key(api.account(), role))
    refused(caller.request(method, url, json=body), 403, "FORBIDDEN")
    refused(api.client().request(method, url, json=body), 401, "UNAUTHENTICATED")


def test_support_reads_keys_and_users_do_not(api: Api) -> None:
    account_id = api.account()
    api.key(account_id)
    support = api.client(api.key(None, "support"))
    assert len(support.get(f"/v1/accounts/{account_id}/keys").json()["items"]) == 1
    user = api.client(api.key(account_id))
    refused(user.get(f"/v1/accounts/{account_id}/keys"), 403, "FORBIDDEN")


def test_a_key_without_an_account(api: Api) -> None:
    support = api.client(api.key(None, "support"))
    me = support.get("/v1/me").json()
    assert (me["account_id"], me["role"], me["available"]) == (None, "support", 0)
    for url in ("/v1/balance", "/v1/generations", "/v1/images", "/v1/transactions"):
        refused(support.get(url), 403, "FORBIDDEN")
    refused(support.post("/v1/generations", json=BODY), 403, "FORBIDDEN")
    assert all(item["locked"] for item in support.get("/v1/prompts").json()["items"])


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer nonsense", "Basic eDp5", f"Bearer {'x' * 300}"],
)
def test_no_key_or_a_wrong_one(api: Api, authorization: str) -> None:
    answer = api.client().get("/v1/me", headers={"Authorization": authorization})
    refused(answer, 401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def prompts(caller: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    return list(caller.get("/v1/prompts", params=query).json()["items"])


def test_the_seeded_prompts(api: Api) -> None:
    titles = [prompt["title"] for prompt in prompts(api.user(), limit=100)]
    seeded = "梦幻森林 未来城市 宁静海滩 山峰日出 星空夜景 樱花之春 赛博朋克街道 魔法城堡 水下世界"
    assert [title for title in titles if title in seeded.split()] == seeded.split()


def test_prompts_are_locked_for_whom_they_are_and_tell_their_content_to_admins_only(
    api: Api,
) -> None:
    for_user = {prompt["id"]: prompt for prompt in prompts(api.user(), limit=100)}
    for_member = {prompt["id"]: prompt for prompt in prompts(api.user(member=True), limit=100)}
    assert set(for_user["dreamy-forest"]) == {
        "id",
        "title",
        "description",
        "category",
        "token_cost",
        "members_only",
        "locked",
    }
    assert not for_user["dreamy-forest"]["locked"]
    assert for_user["magic-castle"]["locked"]
    assert not for_member["magic-castle"]["locked"]
    assert prompts(api.admin(), q="梦幻")[0]["content"]


def test_prompts_by_category_text_and_page(api: Api) -> None:
    user = api.user()
    assert [prompt["id"] for prompt in prompts(user, q="银河")] == ["starry-night"]
    assert prompts(user, category="夜景") == prompts(user, q="银河")
    assert prompts(user, q="nothing like it") == []
    page = user.get("/v1/prompts", params={"limit": 4}).json()
    api.admin().post("/v1/prompts", json={"title": "New", "content": "x", "category": "late"})
    rest = user.get("/v1/prompts", params={"limit": 100, "cursor": page["next_cursor"]}).json()
    ids = [prompt["id"] for prompt in page["items"] + rest["items"]]
    assert len(ids) == len(set(ids))
    assert prompts(user, category="late")[0]["id"] not in ids


def test_a_changed_prompt_is_a_new_version_and_asked_ones_keep_theirs(api: Api) -> None:
    admin, user = api.admin(), api.user()
    body = {"id": f"p-{new_id()}", "title": "Old", "content": "one"}
    made = admin.post("/v1/prompts", json=body)
    assert made.status_code == 201
    assert (made.json()["token_cost"], made.json()["version"]) == (10, 1)
    refused(admin.post("/v1/prompts", json=body), 409, "CONFLICT")
    asked = user.post("/v1/generations", json={"prompt_id": body["id"]}).json()
    url = f"/v1/prompts/{body['id']}"
    changed = admin.patch(url, json={"title": "New", "token_cost": 3}).json()
    assert (changed["title"], changed["token_cost"], changed["version"]) == ("New", 3, 2)
    assert changed["content"] == "one"
    assert admin.patch(url, json={"title": "New"}).json() == changed
    kept = user.get(asked["urls"]["self"]).json()
    assert (kept["prompt"]["title"], kept["cost"]["held"]) == ("Old", 10)
    assert admin.delete(url).status_code == 204
    refused(admin.delete(url), 404, "NOT_FOUND")
    refused(admin.patch(url, json={"title": "x"}), 404, "NOT_FOUND")
    assert all(prompt["id"] != body["id"] for prompt in prompts(user, limit=100))
