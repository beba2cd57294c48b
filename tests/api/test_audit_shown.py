"""Whoever has seen an account's data is found by it, also where nobody asked for that account."""

from typing import Any

import httpx
import psycopg
import pytest

from api_client import Api, serving, settings_for
from databases import Database, TestServer
from problems import refused

EVENTS = "/v1/audit/events"
NDJSON = {"Accept": "application/x-ndjson"}


@pytest.fixture
def support(api: Api) -> httpx.Client:
    return api.client(api.key(None, "support"))


def of(api: Api, account_id: str, **query: Any) -> list[dict[str, Any]]:
    """What the record has of the account, but for the administrator's own looks there."""
    params = {"account": account_id, "limit": 100, **query}
    answer = api.admin().get("/v1/audit/reads", params=params)
    assert answer.status_code == 200, answer.text
    return [read for read in answer.json()["items"] if read["what"] != "reads"]


def test_a_page_of_events_names_the_accounts_that_it_showed(
    api: Api, support: httpx.Client
) -> None:
    first, second, third = (api.account() for _ in range(3))
    before = api.services.ledger.head()
    api.grant(first, 1)
    api.grant(second, 1)
    api.grant(first, 1)
    known = {account: len(of(api, account)) for account in (first, second, third)}
    page = support.get(EVENTS, params={"after": before}).json()
    assert {event["account_id"] for event in page["items"]} == {first, second}
    for account_id, more in ((first, 1), (second, 1), (third, 0)):
        reads = of(api, account_id)
        assert len(reads) == known[account_id] + more
    read = of(api, first)[0]
    assert (read["what"], read["account_id"], read["shown"]) == ("events", None, 2)
    assert read["query"] == {"after": before, "order": "desc"}


def test_a_page_goes_on_where_its_cursor_says_and_shows_no_more_than_that(
    api: Api, support: httpx.Client
) -> None:
    first, second = api.account(), api.account()
    before = api.services.ledger.head()
    api.grant(first, 1)
    api.grant(second, 1)
    params = {"after": before, "limit": 1}
    cursor = support.get(EVENTS, params=params).json()["next_cursor"]
    assert [read["query"] for read in of(api, first)] == []
    support.get(EVENTS, params={**params, "cursor": cursor})
    (read,) = of(api, first)
    assert read["query"] == {**params, "order": "desc", "cursor": cursor}
    assert (read["shown"], len(of(api, second))) == (1, 1)


def test_a_search_names_whom_it_found(api: Api, support: httpx.Client) -> None:
    found, other = api.account(), api.account()
    assert support.get("/v1/audit/accounts", params={"q": found}).json()["items"]
    (read,) = of(api, found)
    assert (read["what"], read["account_id"], read["shown"]) == ("accounts_search", None, 1)
    assert read["query"] == {"q": found, "limit": 20}
    assert of(api, other) == []
    # The one more that is looked up, to see whether there is another page, is not shown.
    support.get("/v1/audit/accounts", params={"limit": 1})
    assert (len(of(api, found)), len(of(api, other))) == (1, 1)


def test_an_export_of_no_account_may_have_shown_anybodys(api: Api, support: httpx.Client) -> None:
    account_id, other = api.account(), api.account()
    before = len(of(api, other))
    assert support.get(f"{EVENTS}?limit=1", headers=NDJSON).status_code == 200
    read, *_ = of(api, account_id)
    assert (read["what"], read["account_id"], read["shown"]) == ("events_export", None, None)
    assert support.get(f"{EVENTS}?account={account_id}", headers=NDJSON).status_code == 200
    read, *_ = of(api, account_id)
    assert (read["what"], read["account_id"], read["shown"]) == ("events_export", account_id, 1)
    assert len(of(api, other)) == before + 1


def test_reads_of_an_account_in_pages_and_by_their_reader(api: Api, support: httpx.Client) -> None:
    account_id = api.account()
    urls = [
        f"/v1/audit/accounts?q={account_id}",
        f"/v1/audit/accounts/{account_id}",
        f"{EVENTS}?limit=1000",
        f"{EVENTS}?account={account_id}",
    ]
    for url in urls:
        assert support.get(url).status_code == 200
    assert support.get(EVENTS, headers=NDJSON).status_code == 200
    reader = of(api, account_id)[0]["reader"]
    seen: list[str] = []
    params: dict[str, Any] = {"account": account_id, "reader": reader, "limit": 2}
    while True:
        page = api.admin().get("/v1/audit/reads", params=params).json()
        seen += [read["what"] for read in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == ["events_export", "events", "events", "account", "accounts_search"]
    assert of(api, account_id, reader="key:another") == []


def test_how_the_pages_of_an_account_were_asked_for_is_recorded(
    api: Api, support: httpx.Client
) -> None:
    account_id = api.account()
    for _ in range(2):
        api.key(account_id)
    for what, url in (
        ("keys", f"/v1/accounts/{account_id}/keys"),
        ("timeline", f"/v1/audit/accounts/{account_id}/timeline"),
        ("reads", "/v1/audit/reads"),
        ("accounts_search", "/v1/audit/accounts"),
    ):
        cursor = support.get(url, params={"limit": 1}).json()["next_cursor"]
        assert cursor, what
        assert support.get(url, params={"limit": 3, "cursor": cursor}).status_code == 200
        newest = api.admin().get("/v1/audit/reads", params={"limit": 3}).json()["items"]
        read = next(read for read in newest if read["reader"].startswith("key:"))
        assert (read["what"], read["query"]) == (what, {"limit": 3, "cursor": cursor})


def test_reads_of_before_it_was_written_down_may_have_shown_anybodys(
    database: Database, tmp_path: Any
) -> None:
    with (
        psycopg.connect(database.url, autocommit=True) as connection,
        serving(settings_for(database.url, tmp_path)) as api,
    ):
        for what in ("events", "accounts_search", "events_export", "reads", "generation"):
            connection.execute(
                "INSERT INTO audit_reads (reader, role, what, query)"
                " VALUES ('x', 'admin', %s, '{}')",
                (what,),
            )
        reads = of(api, "demo-user-123")
        assert [(read["what"], read["shown"]) for read in reads] == [
            ("events_export", None),
            ("accounts_search", None),
            ("events", None),
        ]


def test_what_was_shown_must_be_written_down_or_nothing_is_answered(
    database_server: TestServer, tmp_path: Any
) -> None:
    with (
        database_server.database() as database,
        serving(settings_for(database.url, tmp_path)) as api,
        psycopg.connect(database.owner_url, autocommit=True) as owner,
    ):
        client = api.client(api.key(None, "support"))
        owner.execute("REVOKE INSERT (shown) ON audit_reads FROM mintage_app")
        for url in (EVENTS, "/v1/audit/accounts"):
            refused(client.get(url), 503, "UNAVAILABLE")
