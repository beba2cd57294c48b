"""Health, metrics, logs, headers and the OpenAPI document."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import structlog
from litestar.handlers import HTTPRouteHandler

import databases
from api import health, logs
from api.accounts import balances
from api.generations.asked import GenerationBody
from api.http.parameters import strict_query
from api.problems.problem import CODES
from api_client import Api, serving, settings_for
from ledger.chain import blocks, failing
from ledger_running import wait_until
from problems import refused
from projections.advance import advance

BODY = {"prompt_id": "dreamy-forest"}


def test_alive_and_ready(api: Api) -> None:
    assert api.client().get("/health/live").json() == {"status": "ok"}
    ready = api.client().get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok"})


def test_a_view_that_stopped_is_not_ready(api: Api) -> None:
    with api.services.pool.connection() as connection:
        connection.execute(
            "INSERT INTO view_failures (view, position, problem, failed_at, retry_at)"
            " VALUES ('images', 0, 'test', now(), now())"
        )
    try:
        problem = refused(api.client().get("/health/ready"), 503, "UNAVAILABLE")
        assert problem["failing"] == ["projections"]
    finally:
        with api.services.pool.connection() as connection:
            connection.execute("DELETE FROM view_failures")


def test_events_that_nobody_folds_are_not_ready(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.user()
    monkeypatch.setattr(health, "VIEWS_BEHIND_SECONDS_MAX", 0)
    problem = refused(api.client().get("/health/ready"), 503, "UNAVAILABLE")
    assert problem["failing"] == ["projections"]


def test_a_chain_that_stopped_is_not_ready(api: Api) -> None:
    with api.services.pool.connection() as connection:
        failing.record(connection, 7, "test")
    try:
        problem = refused(api.client().get("/health/ready"), 503, "UNAVAILABLE")
        assert problem["failing"] == ["chain"]
    finally:
        with api.services.pool.connection() as connection:
            failing.clear(connection)
    assert api.client().get("/health/ready").status_code == 200


def test_events_that_nobody_chains_are_not_ready(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.user()
    with api.services.pool.connection() as connection:
        while advance(connection):
            pass
        assert api.client().get("/health/ready").status_code == 200
        monkeypatch.setattr(blocks, "STUCK_SECONDS", 0.0)
        problem = refused(api.client().get("/health/ready"), 503, "UNAVAILABLE")
        assert problem["failing"] == ["chain"]
        lag = blocks.chain_end(connection).unchained
        assert lag > 0
        assert f"mintage_chain_lag_events {float(lag)}" in api.client().get("/metrics").text
        blocks.catch_up(connection)
        assert api.client().get("/health/ready").status_code == 200
        assert "mintage_chain_lag_events 0.0" in api.client().get("/metrics").text


def test_a_storage_that_does_not_answer_is_not_ready(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = api.services.storage._temporary  # type: ignore[attr-defined]
    monkeypatch.setattr(api.services.storage, "_temporary", temporary / "gone")
    problem = refused(api.client().get("/health/ready"), 503, "UNAVAILABLE")
    assert problem["failing"] == ["storage"]


def test_with_its_database_gone_everything_is_503_until_it_is_back(
    database_server: databases.TestServer, database: databases.Database, tmp_path: Path
) -> None:
    with (
        psycopg.connect(database_server.postgres.superuser_url, autocommit=True) as maintenance,
        serving(settings_for(database.url, tmp_path)) as api,
    ):
        user = api.user()
        assert user.post("/v1/generations", json=BODY).status_code == 202

        def allow(allowed: str) -> None:
            maintenance.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS {allowed}")

        allow("false")
        maintenance.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (database.name,),
        )
        try:
            lists = (
                "/v1/images",
                "/v1/images?q=x",
                "/v1/generations",
                "/v1/transactions",
                "/v1/prompts",
            )
            for answer in (
                *map(user.get, ("/v1/balance", *lists)),
                user.post("/v1/generations", json=BODY),
            ):
                refused(answer, 503, "UNAVAILABLE")
                assert int(answer.headers["Retry-After"]) >= 1
                assert "127.0.0.1" not in answer.text
                assert database.name not in answer.text
            started = time.monotonic()
            with ThreadPoolExecutor(32) as pool:
                answers = list(pool.map(lambda _: user.get("/v1/balance"), range(64)))
            assert {answer.status_code for answer in answers} == {503}
            assert time.monotonic() - started < 30
            problem = refused(user.get("/health/ready"), 503, "UNAVAILABLE")
            assert problem["failing"] == ["database", "projections", "chain"]
            assert user.get("/health/live").status_code == 200
            assert "mintage_http_requests_total" in user.get("/metrics").text
        finally:
            allow("true")
        deadline = time.monotonic() + 60
        while {user.get(path).status_code for path in ("/v1/balance", *lists)} != {200}:
            assert time.monotonic() < deadline, "it did not come back"
        assert user.post("/v1/generations", json=BODY).status_code == 202
        headers = {"Prefer": "wait=1"}
        assert user.post("/v1/generations", json=BODY, headers=headers).status_code == 202


def test_the_unexpected_is_logged_here_and_told_to_nobody(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(*_: Any) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(balances, "known", fall)
    with structlog.testing.capture_logs() as logs:
        answer = api.user().get("/v1/balance")
    problem = refused(answer, 500, "UNKNOWN")
    assert "secret" not in json.dumps(problem)
    assert any(isinstance(line.get("exc_info"), RuntimeError) for line in logs)


def test_metrics_count_by_route_and_never_by_address(api: Api) -> None:
    user = api.user()
    asked = user.post("/v1/generations", json=BODY).json()
    user.get(asked["urls"]["self"])
    user.get("/v1/some/nonsense")
    text = api.client().get("/metrics").text
    assert 'route="/v1/generations/{generation_id}",status="200"' in text
    assert 'route="unmatched",status="404"' in text
    assert asked["id"] not in text
    assert "nonsense" not in text
    for name in (
        "mintage_http_request_seconds_bucket",
        "mintage_commit_batch_commands_bucket",
        "mintage_generations_open ",
        "mintage_projection_lag_events ",
    ):
        assert name in text, name


def test_a_sane_request_id_is_kept_and_another_replaced(api: Api) -> None:
    caller = api.client()
    kept = caller.get("/health/live", headers={"X-Request-ID": "req-1.a:b"})
    assert kept.headers["X-Request-ID"] == "req-1.a:b"
    for strange in ("x" * 129, "with space", 'quote"'):
        answer = caller.get("/health/live", headers={"X-Request-ID": strange})
        assert len(answer.headers["X-Request-ID"]) == 36


def test_every_answer_carries_the_headers_of_safety(api: Api) -> None:
    for url in ("/v1/balance", "/nothing", "/health/live"):
        headers = api.user().get(url, headers={"Origin": "https://elsewhere.example"}).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in headers
    assert api.user().get("/v1/balance").headers["Cache-Control"] == "no-store"


def test_a_line_is_logged_for_each_request_with_who_and_what_and_no_secret(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = api.account()
    key = api.key(account_id)
    written = structlog.testing.CapturingLogger()
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    structlog.configure(logger_factory=lambda *_: written)
    monkeypatch.setattr(api.app.asgi_handler, "_log", logs.request_log())
    structlog.reset_defaults()
    asked = api.client(key).post("/v1/generations", json=BODY).json()
    api.client(key).get(asked["urls"]["self"])
    # The line comes after the answer.
    wait_until(lambda: len(written.calls) == 2, "both lines")
    lines = [json.loads(call.args[0]) for call in written.calls]
    assert [line["status"] for line in lines] == [202, 200]
    for line in lines:
        assert (line["event"], line["level"], line["logger"]) == ("request", "info", "api.requests")
        assert datetime.fromisoformat(line["timestamp"]).tzinfo == UTC
        assert line["account_id"] == account_id
        assert line["generation_id"] == asked["id"]
        assert line["duration_ms"] > 0
        assert line["request_id"]
    assert key not in str(written.calls)


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    answer = api.client().get("/schema/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def test_the_openapi_document_tells_of_every_route(api: Api, document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    for route in api.app.routes:
        handlers = getattr(route, "route_handlers", [])
        for handler in handlers:
            if isinstance(handler, HTTPRouteHandler) and route.path.startswith("/v1/"):
                for method in handler.http_methods - {"OPTIONS"}:
                    operations = document["paths"][route.path_format]
                    assert method.lower() in operations, (method, route.path)


def test_every_operation_below_v1_asks_for_a_role(api: Api) -> None:
    for route in api.app.routes:
        for handler in getattr(route, "route_handlers", []):
            if route.path.startswith("/v1/") and handler.http_methods != {"OPTIONS"}:
                is_login = (route.path, handler.http_methods) == ("/v1/session", {"POST"})
                guards = [each for each in handler.resolve_guards() if each is not strict_query]
                assert bool(guards) != is_login, route.path


def test_every_operation_tells_its_problems_with_examples(document: dict[str, Any]) -> None:
    told: set[str] = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            for status, answer in operation["responses"].items():
                for kind, content in answer.get("content", {}).items():
                    if kind == "application/problem+json":
                        examples = content["examples"].values()
                        assert all(str(e["value"]["status"]) == status for e in examples)
                        assert all(set(e) == {"summary", "value"} for e in examples)
                        told |= {e["value"]["code"] for e in examples}
            if path.startswith("/v1/"):
                assert {"401", "403", "503", "500"} <= set(operation["responses"]), (method, path)
    assert told == set(CODES) - {"METHOD_NOT_ALLOWED"}


def test_references_of_the_document_lead_somewhere(document: dict[str, Any]) -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                target: Any = document
                for part in node["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    ids = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(ids) == len(set(ids))


def test_a_generations_body_is_told_as_it_is_read(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/generations"]["post"]
    content = operation["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    (read,), _ = msgspec.json.schema_components([GenerationBody])
    for told in content.values():
        assert set(told["schema"]["properties"]) == set(GenerationBody.__struct_fields__)
        assert told["schema"]["required"] == ["prompt_id"]
    names = {parameter["name"] for parameter in operation["parameters"]}
    assert {"Idempotency-Key", "Prefer"} <= names
    assert {"200", "202", "402", "409", "413", "422", "429"} <= set(operation["responses"])
    headers = operation["responses"]["202"]["headers"]
    assert {"Location", "Idempotency-Replayed", "Preference-Applied"} == set(headers)
    assert all(header["schema"] == {"type": "string"} for header in headers.values())
    assert read
