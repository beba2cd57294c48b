"""Sessions: a new id at each login, ended everywhere at once, and of no use to another site."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

import databases
from api.credentials import key_hash
from api.sessions import store
from api.sessions.csrf import csrf_token
from api.sessions.store import LOGINS_MAX
from api.settings import Settings
from api_client import Api, serving, settings_for
from problems import refused

NAME = "mintage_session"
BODY = {"prompt_id": "dreamy-forest"}
CANCEL = "/v1/generations/00000000-0000-7000-8000-000000000000/cancel"


@pytest.fixture(autouse=True)
def _no_logins_yet(api: Api) -> Iterator[None]:
    yield
    with api.services.pool.connection() as connection:
        connection.execute("DELETE FROM sessions")


def logged_in(api: Api, **headers: str) -> tuple[httpx.Client, dict[str, Any]]:
    """A browser that has entered the demo, with its session's document."""
    client = api.client(**headers)
    answer = client.post("/v1/session", json={"demo": True})
    assert answer.status_code == 200, answer.text
    return client, answer.json()


def test_the_demo_is_entered_with_a_cookie_that_no_script_can_read(api: Api) -> None:
    client = api.client()
    answer = client.post("/v1/session", json={"demo": True})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    cookie = SimpleCookie(answer.headers["Set-Cookie"])[NAME]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/")
    assert not cookie["secure"]
    assert cookie.value not in answer.text
    assert client.get("/v1/me").json()["account_id"] == "demo-user-123"
    with api.services.pool.connection() as connection:
        hashes = connection.execute("SELECT hash FROM sessions").fetchall()
    assert hashes == [(key_hash(cookie.value),)]


def test_every_login_has_a_new_id_whatever_cookie_came_along(api: Api) -> None:
    chosen = "A" * 43
    client = api.client()
    client.cookies.set(NAME, chosen)
    client.post("/v1/session", json={"demo": True})
    first = client.cookies.get(NAME, domain="127.0.0.1")
    assert first not in {None, chosen}
    client.post("/v1/session", json={"demo": True})
    assert client.cookies.get(NAME, domain="127.0.0.1") != first
    refused(api.client(Cookie=f"{NAME}={chosen}").get("/v1/me"), 401, "UNAUTHENTICATED")


def test_logging_out_ends_every_session_of_the_account(api: Api) -> None:
    here, session = logged_in(api)
    there, _ = logged_in(api)
    answer = here.delete("/v1/session", headers={"X-CSRF-Token": session["csrf_token"]})
    assert answer.status_code == 204
    assert SimpleCookie(answer.headers["Set-Cookie"])[NAME]["max-age"] == "0"
    for client in (here, there):
        refused(client.get("/v1/me"), 401, "UNAUTHENTICATED")


def test_what_changes_something_needs_the_sessions_own_token(api: Api) -> None:
    client, session = logged_in(api)
    _, other = logged_in(api)
    for token in (None, "", "x", other["csrf_token"]):
        headers = {} if token is None else {"X-CSRF-Token": token}
        refused(client.post("/v1/generations", json=BODY, headers=headers), 403, "FORBIDDEN")
        refused(client.post(CANCEL, headers=headers), 403, "FORBIDDEN")
        refused(client.delete("/v1/session", headers=headers), 403, "FORBIDDEN")
    headers = {"X-CSRF-Token": session["csrf_token"]}
    refused(client.post(CANCEL, headers=headers), 404, "NOT_FOUND")
    assert client.post("/v1/generations", json=BODY, headers=headers).status_code == 202


@pytest.mark.parametrize(
    "origin",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[broken"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_another_site_changes_nothing_and_logs_nobody_in(api: Api, origin: dict[str, str]) -> None:
    client, session = logged_in(api)
    headers = {"X-CSRF-Token": session["csrf_token"], **origin}
    refused(client.post("/v1/generations", json=BODY, headers=headers), 403, "FORBIDDEN")
    answer = api.client().post("/v1/session", json={"demo": True}, headers=origin)
    refused(answer, 403, "FORBIDDEN")
    assert "Set-Cookie" not in answer.headers


def test_our_own_pages_are_let_through(api: Api) -> None:
    client, session = logged_in(api)
    for headers in ({"Origin": api.url}, {"Sec-Fetch-Site": "same-origin"}):
        answer = client.post(CANCEL, headers={"X-CSRF-Token": session["csrf_token"], **headers})
        refused(answer, 404, "NOT_FOUND")


def test_a_key_counts_before_a_cookie(api: Api) -> None:
    client, _ = logged_in(api)
    key = api.key(api.account(tokens=7))
    headers = {"Authorization": f"Bearer {key}"}
    assert client.get("/v1/balance", headers=headers).json()["available"] == 7
    refused(client.post(CANCEL, headers=headers), 404, "NOT_FOUND")  # and needs no token
    wrong = {"Authorization": "Bearer mint_wrong"}
    refused(client.get("/v1/balance", headers=wrong), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "change",
    [
        "expires_at = now()",
        "ended_at = now()",
        "seen_at = now() - interval '8 days'",
    ],
)
def test_a_session_that_is_over_opens_nothing(api: Api, change: str) -> None:
    client, _ = logged_in(api)
    assert client.get("/v1/me").status_code == 200
    with api.services.pool.connection() as connection:
        connection.execute(f"UPDATE sessions SET {change}".encode())  # noqa: S608
    refused(client.get("/v1/me"), 401, "UNAUTHENTICATED")


def test_a_session_in_use_stays(api: Api) -> None:
    client, _ = logged_in(api)
    with api.services.pool.connection() as connection:
        connection.execute("UPDATE sessions SET seen_at = now() - interval '6 days'")
    assert client.get("/v1/me").status_code == 200
    with api.services.pool.connection() as connection:
        row = connection.execute("SELECT now() - seen_at < interval '1 minute' FROM sessions")
        assert row.fetchone() == (True,)


def test_another_role_ends_the_sessions_of_the_earlier_one(api: Api) -> None:
    client, _ = logged_in(api)
    admin = api.admin()
    assert admin.patch("/v1/accounts/demo-user-123", json={"name": "演示用户"}).status_code == 200
    assert client.get("/v1/me").status_code == 200
    try:
        admin.patch("/v1/accounts/demo-user-123", json={"role": "support"})
        refused(client.get("/v1/me"), 401, "UNAUTHENTICATED")
        again, session = logged_in(api)
        assert session["role"] == "support"
        assert again.get("/v1/audit/accounts?q=demo").status_code == 200
    finally:
        admin.patch("/v1/accounts/demo-user-123", json={"role": "user"})


def test_logins_are_limited(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LOGINS_MAX <= 100
    monkeypatch.setattr(store, "LOGINS_MAX", 5)  # so many are over well within the minute
    for _ in range(5):
        logged_in(api)
    answer = api.client().post("/v1/session", json={"demo": True})
    refused(answer, 429, "RATE_LIMITED")
    assert answer.headers["Retry-After"] == "60"
    with api.services.pool.connection() as connection:  # a minute later, and a day
        connection.execute(
            "UPDATE sessions SET created_at = created_at - interval '61 s', "
            "expires_at = now() - interval '2 days'"
        )
    logged_in(api)
    with api.services.pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "INVALID_INPUT"),
        ({"email": "a@b.example"}, 422, "INVALID_INPUT"),
        ({"email": "a@b.example", "password": ""}, 422, "INVALID_INPUT"),
        ({"demo": "yes"}, 422, "INVALID_INPUT"),
        ({"email": "demo@example.com", "password": "secret"}, 401, "UNAUTHENTICATED"),
    ],
)
def test_other_logins_are_refused(api: Api, body: dict[str, Any], status: int, code: str) -> None:
    refused(api.client().post("/v1/session", json=body), status, code)


def test_a_token_tells_nothing_of_the_id() -> None:
    assert csrf_token("a" * 43) != csrf_token("a" * 42 + "b")
    assert len(csrf_token("a" * 43)) == 43


def test_production_has_no_demo_and_takes_cookies_over_tls_only(
    database_server: databases.TestServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with database_server.database() as database:
        demo = settings_for(database.url, tmp_path_factory.mktemp("home"))
        settings: Settings = msgspec.structs.replace(demo, mintage_env="production")
        with serving(settings) as api:
            answer = api.client().post("/v1/session", json={"demo": True})
            refused(answer, 403, "FORBIDDEN")
            with psycopg.connect(database.url, autocommit=True) as connection:
                connection.execute(
                    "INSERT INTO sessions VALUES (%s, 'demo-user-123', 'user', now(), now(),"
                    " now() + interval '1 day')",
                    (key_hash("secret"),),
                )
            plain = api.client(Cookie=f"{NAME}=secret")
            refused(plain.get("/v1/me"), 401, "UNAUTHENTICATED")
            safe = api.client(Cookie=f"__Host-{NAME}=secret")
            assert safe.get("/v1/me").status_code == 200
            answer = safe.delete("/v1/session", headers={"X-CSRF-Token": csrf_token("secret")})
            cookie = answer.headers["Set-Cookie"]
            assert cookie.startswith(f"__Host-{NAME}=")
            assert "Secure" in cookie
