"""Every read of other people's data leaves a line, or is not answered."""

from typing import Any

import httpx
import psycopg
import pytest

import databases
from api_client import Api, serving, settings_for
from ledger.identity import new_id
from problems import fields, refused


def support(api: Api) -> tuple[httpx.Client, str]:
    """HTTP as a fresh member of support, and what the record calls it."""
    client = api.client(api.key(None, "support"))
    (read,) = client.get("/v1/audit/reads?limit=1").json()["items"]
    return client, read["reader"]


def by(api: Api, reader: str) -> list[dict[str, Any]]:
    """What that reader has read, newest first, by the administrator's own look."""
    answer = api.admin().get("/v1/audit/reads", params={"reader": reader, "limit": 100})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def test_who_what_whose_and_when(api: Api) -> None:
    client, reader = support(api)
    account_id = api.account()
    assert client.get(f"/v1/accounts/{account_id}/keys").status_code == 200
    read, listed = by(api, reader)
    assert (read["what"], read["account_id"], read["role"]) == ("keys", account_id, "support")
    assert read["reader"].startswith("key:")
    assert read["at"].endswith("Z")
    assert read["at"] >= listed["at"]
    assert (listed["what"], listed["account_id"], listed["shown"]) == ("reads", None, 0)
    assert (listed["query"], read["query"]) == ({"limit": 1}, {"limit": 20})


def test_an_account_that_does_not_exist_leaves_a_line_too(api: Api) -> None:
    client, reader = support(api)
    nobody = f"nobody-{new_id()}"
    refused(client.get(f"/v1/accounts/{nobody}/keys"), 404, "NOT_FOUND")
    refused(client.get("/v1/accounts/no%00body/keys"), 404, "NOT_FOUND")
    refused(client.get(f"/v1/accounts/{'x' * 1000}/keys"), 404, "NOT_FOUND")
    long, strange, unknown = (read["account_id"] for read in by(api, reader)[:3])
    assert (unknown, strange, long) == (nobody, "no\ufffdbody", "x" * 200)


def test_the_reads_of_admins_and_of_reads_are_recorded_alike(api: Api) -> None:
    admin = api.client(api.key(None, "admin"))
    account_id = api.account()
    assert admin.patch(f"/v1/accounts/{account_id}", json={}).status_code == 200
    assert admin.get("/v1/audit/reads", params={"account": account_id}).status_code == 200
    answer = admin.get("/v1/audit/reads", params={"account": account_id}).json()
    told = [(read["what"], read["account_id"], read["role"]) for read in answer["items"]]
    assert told == [
        ("reads", account_id, "admin"),
        ("reads", account_id, "admin"),
        ("account", account_id, "admin"),
    ]
    reader = answer["items"][0]["reader"]
    both = {"account": account_id, "reader": reader}
    assert len(admin.get("/v1/audit/reads", params=both).json()["items"]) == 4
    newest = by(api, "admin:bootstrap")[0]
    assert newest["query"] == {"reader": "admin:bootstrap", "limit": 100}


def test_pages_hold_each_read_once_while_others_come_in(api: Api) -> None:
    client, reader = support(api)
    account_id = api.account()
    for _ in range(7):
        client.get(f"/v1/accounts/{account_id}/keys")
    seen: list[int] = []
    params = {"reader": reader, "account": account_id, "limit": "2"}
    cursor = None
    while True:
        page = api.admin().get(
            "/v1/audit/reads", params=params | ({"cursor": cursor} if cursor else {})
        )
        seen += [read["id"] for read in page.json()["items"]]
        client.get(f"/v1/accounts/{account_id}/keys")
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 7
    assert seen == sorted(set(seen), reverse=True)


def test_it_is_not_for_users(api: Api) -> None:
    refused(api.user().get("/v1/audit/reads"), 403, "FORBIDDEN")
    refused(api.client().get("/v1/audit/reads"), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("account=a%20b", "account"),
        ("account=", "account"),
        (f"reader={'x' * 101}", "reader"),
        ("reader=", "reader"),
        ("reader=%00", "reader"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
    ],
)
def test_bad_input_names_its_field(api: Api, query: str, field: str) -> None:
    answer = api.admin().get(f"/v1/audit/reads?{query}")
    assert fields(refused(answer, 422, "INVALID_INPUT")) == [field]


def test_what_cannot_be_recorded_is_not_answered(
    database_server: databases.TestServer, tmp_path: Any
) -> None:
    with (
        database_server.database() as database,
        serving(settings_for(database.url, tmp_path)) as api,
        psycopg.connect(database.owner_url, autocommit=True) as owner,
    ):
        client = api.client(api.key(None, "support"))
        account_id = api.account()
        paths = ("/v1/audit/reads", f"/v1/accounts/{account_id}/keys")
        assert {client.get(path).status_code for path in paths} == {200}
        owner.execute(
            "REVOKE INSERT (reader, role, what, account_id, query) ON audit_reads FROM mintage_app"
        )
        for path in paths:
            problem = refused(client.get(path), 503, "UNAVAILABLE")
            assert "recorded" in problem["detail"]
        admin = api.admin().patch(f"/v1/accounts/{account_id}", json={"name": "Changed"})
        refused(admin, 503, "UNAVAILABLE")
        rows = owner.execute("SELECT name FROM profiles WHERE account_id = %s", (account_id,))
        assert rows.fetchone() == ("Someone",)


def test_what_a_grant_a_revocation_or_a_refund_shows_is_recorded(api: Api) -> None:
    """Also where it is refused: the refusal names what is available."""
    account_id = api.account(tokens=10)
    admin = api.client(api.key(None, "admin"))
    place = f"/v1/accounts/{account_id}"
    generation = api.client(api.key(account_id)).post(
        "/v1/generations", json={"prompt_id": "dreamy-forest"}
    )
    asked = [
        admin.post(f"{place}/grants", json={"amount": 1, "reason": "promo"}),
        admin.post(f"{place}/revocations", json={"amount": 10**6, "note": "x"}),
        admin.post(f"/v1/generations/{generation.json()['id']}/refund", json={"note": "x"}),
    ]
    assert [answer.status_code for answer in asked] == [201, 402, 409]
    found = admin.get(f"/v1/audit/reads?account={account_id}").json()["items"]
    shown = [read["what"] for read in found if read["account_id"] == account_id]
    assert sorted(shown) == ["account", "account", "generation", "reads"]
