"""Accounts and generations as support sees them: who may, what is refused, and what is recorded."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

import databases
from api_client import Api, serving, settings_for
from ledger.commands import RevokeTokens, SettleGeneration, Submission
from ledger.facts import Attempt, ImageRecord
from ledger.identity import new_id
from problems import fields, refused

BODY = {"prompt_id": "dreamy-forest"}


@pytest.fixture
def support(api: Api) -> httpx.Client:
    return api.client(api.key(None, "support"))


def reads_of(api: Api, account_id: str) -> list[tuple[str, dict[str, Any]]]:
    """What was read of the account, oldest first, but for this look itself."""
    answer = api.admin().get("/v1/audit/reads", params={"account": account_id})
    return [(read["what"], read["query"]) for read in answer.json()["items"][:0:-1]]


def ask(client: httpx.Client) -> dict[str, Any]:
    return dict(client.post("/v1/generations", json=BODY).json())


def generated(api: Api, account_id: str) -> dict[str, Any]:
    """A generation that was charged for."""
    client = api.client(api.key(account_id))
    asked = ask(client)
    api.succeed(asked)
    return asked


ROUTES = (
    "accounts",
    "accounts/{account}",
    "accounts/{account}/balance?position=1",
    "accounts/{account}/timeline",
    "accounts/{account}/explanation",
    "generations/{generation}",
)


@pytest.mark.parametrize("route", ROUTES)
def test_support_and_admins_may_look_and_users_may_not(api: Api, route: str) -> None:
    account_id = api.account()
    generation = generated(api, account_id)["id"]
    url = f"/v1/audit/{route}".format(account=account_id, generation=generation)
    url = url.replace("position=1", f"position={api.services.ledger.head()}")
    for role in ("support", "admin"):
        assert api.client(api.key(None, role)).get(url).status_code == 200
    refused(api.client(api.key(account_id)).get(url), 403, "FORBIDDEN")
    refused(api.client().get(url), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("unknown", ["nobody-there", "no%20body", "x" * 65, "a%00b"])
@pytest.mark.parametrize("route", [route for route in ROUTES if "{account}" in route])
def test_an_account_that_is_not_there_is_404(
    support: httpx.Client, route: str, unknown: str
) -> None:
    answer = support.get(f"/v1/audit/{route}".format(account=unknown))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (404, "NOT_FOUND")
    assert unknown not in problem["detail"]


def test_a_generation_that_is_not_there_is_404(support: httpx.Client) -> None:
    for unknown in (new_id(), "nonsense"):
        refused(support.get(f"/v1/audit/generations/{unknown}"), 404, "NOT_FOUND")


def test_each_look_is_recorded_with_whose_it_was_and_how_it_was_asked(
    api: Api, support: httpx.Client
) -> None:
    account_id = api.account()
    generation = generated(api, account_id)
    head = api.services.ledger.head()
    base = f"/v1/audit/accounts/{account_id}"
    now = datetime.now(UTC).isoformat()
    for url, params in (
        (base, {}),
        (f"{base}/balance", {"position": head}),
        (f"{base}/balance", {"at": now}),
        (f"{base}/timeline", {"limit": 1}),
        (f"{base}/explanation", {}),
        (f"/v1/audit/generations/{generation['id']}", {}),
    ):
        assert support.get(url, params=params).status_code == 200
    assert reads_of(api, account_id) == [
        ("account", {}),
        ("balance", {"position": head}),
        ("balance", {"at": now}),
        ("timeline", {"limit": 1}),
        ("explanation", {}),
        ("generation", {"generation": generation["id"]}),
    ]
    support.get("/v1/audit/accounts", params={"q": "who-is-it"})
    support.get("/v1/audit/accounts/nobody-here/balance", params={"position": 1})
    assert reads_of(api, "nobody-here") == [("balance", {"position": 1})]
    newest = api.admin().get("/v1/audit/reads", params={"limit": 5}).json()["items"]
    searches = [read for read in newest if read["what"] == "accounts_search"]
    assert [(read["account_id"], read["query"]) for read in searches] == [
        (None, {"q": "who-is-it", "limit": 20})
    ]


def test_a_look_that_cannot_be_recorded_is_not_answered(
    database: databases.Database, tmp_path: Path
) -> None:
    with (
        psycopg.connect(database.owner_url, autocommit=True) as owner,
        serving(settings_for(database.url, tmp_path)) as api,
    ):
        account_id = api.account()
        generation = generated(api, account_id)["id"]
        support = api.client(api.key(None, "support"))
        owner.execute("REVOKE INSERT (reader) ON audit_reads FROM mintage_app")
        for route in ROUTES:
            url = f"/v1/audit/{route}".format(account=account_id, generation=generation)
            url = url.replace("position=1", f"position={api.services.ledger.head()}")
            answer = support.get(url)
            assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE"), url
            assert account_id not in answer.json()["detail"]


def test_accounts_are_found_by_a_part_of_id_email_or_name(api: Api, support: httpx.Client) -> None:
    def create(**given: Any) -> str:
        answer = api.admin().post("/v1/accounts", json=given)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    mark = new_id().hex[-12:]
    first = create(id=f"a-{mark}", email=f"Zoe.{mark}@example.com", name="演示用户")
    second = create(id=f"b_{mark}", email=f"yan+1%{mark}@example.com", name=r"Ärger \ 100%")

    def found(q: str) -> list[str]:
        answer = support.get("/v1/audit/accounts", params={"q": q, "limit": 100})
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"] if mark in item["id"]]

    assert found(mark.upper()) == [second, first]
    assert found(f"zoe.{mark}") == [first]
    assert found(f" A-{mark} ") == [first]
    assert found("示用") == [first]
    assert found("äRGER") == [second]
    # Special characters stand for themselves.
    assert found(f"b_{mark}") == [second]
    assert found(f"b%{mark}") == []
    assert found(f"a_{mark}") == []
    assert found(f"1%{mark}") == [second]
    assert found("\\ 100%") == [second]
    # No text runs over from one field into the next.
    assert found(f"{mark}zoe") == []
    (item,) = support.get("/v1/audit/accounts", params={"q": f"a-{mark}"}).json()["items"]
    assert item["email"] == f"zoe.{mark}@example.com"
    assert (item["available"], item["held"], item["settled"]) == (100, 0, 100)


def test_a_search_is_paged_newest_first(api: Api, support: httpx.Client) -> None:
    made = [api.account() for _ in range(5)]
    params: dict[str, Any] = {"q": "account-", "limit": 2}
    seen: list[str] = []
    while True:
        page = support.get("/v1/audit/accounts", params=params).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
        api.account()
    assert len(seen) == len(set(seen))
    assert [account_id for account_id in seen if account_id in made] == made[::-1]


def test_an_account_with_its_profile_balance_and_counts(api: Api, support: httpx.Client) -> None:
    account_id = api.account(tokens=100, member=True)
    client = api.client(api.key(account_id))
    api.succeed(ask(client), images=2)
    api.fail(ask(client), "blocked")
    api.fail(ask(client), "canceled")
    ask(client)
    told = support.get(f"/v1/audit/accounts/{account_id}").json()
    assert (told["id"], told["email"]) == (account_id, f"{account_id}@example.com")
    assert (told["name"], told["role"], told["is_member"]) == ("Someone", "user", True)
    assert (told["available"], told["held"], told["settled"]) == (90, 5, 95)
    assert told["counts"] == {
        "events": 9,
        "generations": {"succeeded": 1, "failed": 1, "canceled": 1, "open": 1},
        "images": 2,
        "open_holds": 1,
    }
    assert told["position"] == api.services.ledger.head()
    assert told["opened_at"].endswith("Z")


def test_a_balance_then_with_what_held_it(api: Api, support: httpx.Client) -> None:
    account_id = api.account(tokens=100)
    asked = ask(api.client(api.key(account_id)))
    held_at = api.services.ledger.head()
    api.succeed(asked)
    url = f"/v1/audit/accounts/{account_id}/balance"
    then = support.get(url, params={"position": held_at}).json()
    assert (then["available"], then["held"], then["settled"]) == (95, 5, 100)
    assert (then["position"], then["is_member"]) == (held_at, False)
    assert then["open_holds"] == [
        {
            "generation_id": asked["id"],
            "prompt": asked["prompt"],
            "cost": 5,
            "requested_at": asked["created_at"],
            "position": held_at,
        }
    ]
    assert then["open_holds_complete"]
    assert support.get(url, params={"at": then["at"]}).json() == then
    after = support.get(url, params={"at": datetime.now(UTC).isoformat()}).json()
    assert (after["available"], after["held"], after["open_holds"]) == (95, 0, [])


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "at"),
        ({"at": "2026-01-01T00:00:00Z", "position": 1}, "at"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-01-01T00:00:00"}, "at"),
        ({"at": "2999-01-01T00:00:00Z"}, "at"),
        ({"at": "2020-01-01T00:00:00Z"}, "at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"position": 0}, "position"),
        ({"position": -1}, "position"),
        ({"position": "one"}, "position"),
        ({"position": 1}, "position"),
        ({"position": 10**12}, "position"),
        ({"position": 10**30}, "position"),
    ],
)
def test_a_moment_that_cannot_be_answered_is_named(
    api: Api, support: httpx.Client, params: dict[str, Any], field: str
) -> None:
    account_id = api.account()
    answer = support.get(f"/v1/audit/accounts/{account_id}/balance", params=params)
    assert fields(refused(answer, 422, "INVALID_INPUT")) == [field]
    if params:
        answer = support.get(f"/v1/audit/accounts/{account_id}/explanation", params=params)
        assert fields(refused(answer, 422, "INVALID_INPUT")) == [field]


def test_why_a_moment_is_refused_is_said_in_both_languages(api: Api) -> None:
    account_id = api.account()
    first = api.services.ledger.head() - 1
    url = f"/v1/audit/accounts/{account_id}/balance"
    key = api.key(None, "support")

    def message(language: str, **params: Any) -> str:
        answer = api.client(key, **{"Accept-Language": language}).get(url, params=params)
        return str(answer.json()["errors"][0]["message"])

    assert message("en", position=1).startswith(f"The account began at position {first}, 20")
    assert message("zh-CN", position=1).startswith(f"该账户始于位置 {first}，20")
    assert message("en", position=10**9) == f"The log ends at position {first + 1}."
    assert message("zh", at="2999-01-01T00:00:00Z") == "时间在未来。"


@pytest.mark.parametrize(
    ("route", "params", "field"),
    [
        ("accounts", {"limit": 0}, "limit"),
        ("accounts", {"limit": 101}, "limit"),
        ("accounts", {"cursor": "nonsense"}, "cursor"),
        ("accounts", {"cursor": ""}, "cursor"),
        ("accounts", {"q": ""}, "q"),
        ("accounts", {"q": " \u3000"}, "q"),
        ("accounts", {"q": "x" * 101}, "q"),
        ("accounts", {"q": "a\0b"}, "q"),
        ("accounts", {"q": "a\nb"}, "q"),
        ("accounts/{account}/balance", {"at": ""}, "at"),
        ("accounts/{account}/explanation", {"at": ""}, "at"),
        ("accounts/{account}/explanation", {"position": ""}, "position"),
        ("accounts/{account}/timeline", {"limit": 101}, "limit"),
        ("accounts/{account}/timeline", {"cursor": "WyJ4Il0"}, "cursor"),
        ("accounts/{account}/timeline", {"cursor": "WzFd"}, "cursor"),
    ],
)
def test_bad_input_is_refused_by_field(
    api: Api, support: httpx.Client, route: str, params: dict[str, Any], field: str
) -> None:
    url = f"/v1/audit/{route}".format(account=api.account())
    problem = refused(support.get(url, params=params), 422, "INVALID_INPUT")
    assert fields(problem) == [field]


def test_a_timeline_in_pages_with_running_numbers_and_notes(
    api: Api, support: httpx.Client
) -> None:
    account_id = api.account(tokens=100)
    asked = generated(api, account_id)
    admin = api.admin()
    refund = {"note": "picture was grey"}
    assert admin.post(f"/v1/generations/{asked['id']}/refund", json=refund).status_code == 201
    params: dict[str, Any] = {"limit": 2}
    lines: list[dict[str, Any]] = []
    while True:
        page = support.get(f"/v1/audit/accounts/{account_id}/timeline", params=params).json()
        lines += page["items"]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
        api.grant(account_id, 1)  # what comes in meanwhile moves no page
    told = [
        (line["type"], line["amount"], line["held_change"], line["settled"], line["held"])
        for line in lines
    ]
    assert told == [
        ("TokensGranted", 5, 0, 100, 0),
        ("TokensConsumed", -5, -5, 95, 0),
        ("GenerationRequested", 0, 5, 100, 5),
        ("TokensGranted", 100, 0, 100, 0),
        ("AccountOpened", 0, 0, 0, 0),
    ]
    assert all(line["available"] == line["settled"] - line["held"] for line in lines)
    assert [line["version"] for line in lines] == [5, 4, 3, 2, 1]
    assert (lines[0]["note"], lines[0]["reason"]) == ("picture was grey", "refund")
    assert {line["title"] for line in lines[:3]} == {"梦幻森林"}
    assert {line["generation_id"] for line in lines[:3]} == {asked["id"]}
    assert lines[4]["data"] == {"is_member": False}
    assert lines[0]["actor"] == "admin:bootstrap"


def test_why_a_balance_is_what_it_is_in_both_languages(api: Api) -> None:
    account_id = api.account(tokens=100)
    client = api.client(api.key(account_id))
    api.succeed(ask(client))
    api.fail(ask(client), "timeout")
    revoke = RevokeTokens(account_id=account_id, amount=20, note_id=new_id())
    api.services.ledger.record(Submission(command=revoke, actor="cli"))
    open_id = ask(client)["id"]
    url = f"/v1/audit/accounts/{account_id}/explanation"
    told = api.client(api.key(None, "support")).get(url).json()
    assert (told["available"], told["held"], told["settled"]) == (70, 5, 75)
    assert told["adds_up"]
    assert told["text"] == "\n".join(told["lines"])
    lines = told["lines"]
    assert lines[0] == f"Account {account_id}: 70 tokens available."
    for line in (
        "  Welcome tokens: +100 (1×)",
        "  Tokens taken back: −20 (1×)",
        "  Charged for generations: −5 (1×)",
        "  Ended without a charge: 0 (timeout 1×)",
        "100 − 20 − 5 = 75 settled",
        "75 settled − 5 held = 70 available",
    ):
        assert line in lines
    (hold,) = told["open_holds"]
    assert hold["generation_id"] == open_id
    assert any(line.startswith("  5: 梦幻森林, 20") and open_id in line for line in lines)
    moves = [line.partition("UTC  ")[2] for line in lines[-4:]]
    assert moves == [
        "−20 → 75  Tokens taken back",
        "0 → 95  Not charged (timeout): 梦幻森林",
        "−5 → 95  Image generation: 梦幻森林",
        "+100 → 100  Welcome tokens",
    ]
    totals = {(t["type"], t["reason"]): (t["count"], t["amount"]) for t in told["totals"]}
    assert totals["TokensGranted", "welcome"] == (1, 100)
    assert totals["GenerationFailed", "timeout"] == (1, 5)

    headers = {"Accept-Language": "zh-CN"}
    chinese = api.client(api.key(None, "support"), **headers).get(url).json()
    assert chinese["lines"][0] == f"账户 {account_id}：可用代币 70。"
    assert "已结算 75 − 冻结 5 = 可用 70" in chinese["lines"]
    # As of then: before anything was charged.
    opened = told["movements"][-1]["position"]
    then = api.client(api.key(None, "support")).get(url, params={"position": opened}).json()
    assert "100 = 100 settled" in then["lines"]
    assert "Nothing is held." in then["lines"]


def test_a_generations_story_with_attempts_and_timings(api: Api, support: httpx.Client) -> None:
    account_id = api.account()
    asked = ask(api.client(api.key(account_id)))
    url = f"/v1/audit/generations/{asked['id']}"
    queued = support.get(url).json()
    assert (queued["status"], queued["lease"], queued["attempts"]) == ("queued", None, [])
    assert queued["cost"] == {"asked": 5, "held": 5, "charged": 0, "refunded": 0}
    assert (queued["took_ms"], queued["ended_at"], queued["reason"]) == (None, None, None)

    with api.services.pool.connection() as connection:
        calls = (
            '[{"attempt": 1, "image": 0, "started_at": "2026-01-01T00:00:00Z"},'
            ' {"attempt": 2, "image": 0, "started_at": "2026-01-01T00:01:00Z"},'
            ' {"attempt": 2, "image": 0, "started_at": "2026-01-01T00:01:00Z",'
            '  "ended_at": "2026-01-01T00:01:02.5Z", "outcome": "timeout"},'
            ' {"attempt": 2, "image": 0, "started_at": "2026-01-01T00:02:00Z"}]'
        )
        connection.execute(
            "INSERT INTO generation_leases"
            " (generation_id, account_id, attempt, worker, lease_until, step, calls)"
            " VALUES (%s, %s, 2, 'w-1', '2026-01-01T01:00:00Z', 'generating', %s::jsonb)",
            (asked["id"], account_id, calls),
        )
    working = support.get(url).json()
    assert working["status"] == "processing"
    until = "2026-01-01T01:00:00Z"
    lease = {"worker": "w-1", "attempt": 2, "step": "generating", "until": until}
    assert working["lease"] == lease
    assert [(a["attempt"], a["outcome"], a["duration_ms"]) for a in working["attempts"]] == [
        (1, "lost", None),
        (2, "timeout", 2500),
        (2, None, None),
    ]

    began = datetime.fromisoformat(asked["created_at"]) + timedelta(milliseconds=250)
    image = ImageRecord(
        id=new_id(),
        key="a/b.png",
        thumbnail_key="a/b.webp",
        sha256="ab" * 32,
        mime_type="image/png",
        width=16,
        height=16,
        bytes=9,
        model="test-model",
    )
    attempt = Attempt(
        attempt=2,
        image=0,
        started_at=began,
        ended_at=began + timedelta(seconds=2),
        outcome="ok",
    )
    settle = SettleGeneration(
        account_id=account_id,
        generation_id=UUID(asked["id"]),
        images=(image,),
        attempts=(attempt,),
    )
    api.services.ledger.record(Submission(command=settle, actor="worker:w-1"))
    note = {"note": "sorry"}
    api.admin().post(f"/v1/generations/{asked['id']}/refund", json=note)
    told = support.get(url).json()
    assert (told["status"], told["lease"], told["waited_ms"]) == ("succeeded", None, 250)
    assert (told["ended_by"], told["refunded_by"]) == ("worker:w-1", "admin:bootstrap")
    assert told["requested_by"].startswith("key:")
    assert told["cost"] == {"asked": 5, "held": 0, "charged": 5, "refunded": 5}
    assert [(a["outcome"], a["duration_ms"]) for a in told["attempts"]] == [("ok", 2000)]
    assert told["took_ms"] >= 0
    assert told["images"][0]["model"] == "test-model"
    assert told["prompt"] == {
        "id": "dreamy-forest",
        "title": "梦幻森林",
        "version": 1,
        "token_cost": 5,
    }
    assert [event["type"] for event in told["events"]] == [
        "GenerationRequested",
        "TokensConsumed",
        "TokensGranted",
    ]
    assert told["events"][2]["note"] == "sorry"
    other = ask(api.client(api.key(account_id)))
    api.fail(other, "blocked")
    failed = support.get(f"/v1/audit/generations/{other['id']}").json()
    assert (failed["status"], failed["reason"]) == ("failed", "blocked")
    assert failed["cost"] == {"asked": 5, "held": 0, "charged": 0, "refunded": 0}
