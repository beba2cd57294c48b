"""The log over HTTP, for support: pages, exports that are whole or seen to be cut, and refusals."""

import contextlib
import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import structlog

from api.http import exports, slots
from api_client import Api, serving, settings_for
from databases import Database, TestServer
from problems import fields, refused

URL = "/v1/audit/events"
NDJSON = {"Accept": "application/x-ndjson"}
CSV = {"Accept": "text/csv"}
BODY = {"prompt_id": "dreamy-forest", "count": 2}
PADDING = 400
LONG = 60_000
"""Events of a log whose export, of some 30 MB, fits into no socket's buffers."""


@pytest.fixture(scope="module")
def long_database(database_server: TestServer) -> Iterator[Database]:
    with database_server.database() as database:
        with psycopg.connect(database.owner_url, autocommit=True) as owner:
            owner.execute(
                """
                INSERT INTO ledger_events (position, account_id, version, topic, at, actor,
                                           fact_id, settled, held, data)
                SELECT n, 'long', n, 'tokens_granted:1', now() + n * interval '1 ms', 'cli',
                       gen_random_uuid(), n, 0, jsonb_build_object('reference', repeat('x', %s))
                FROM generate_series(1, %s) AS n""",
                (PADDING, LONG),
            )
        yield database


@pytest.fixture
def long_api(long_database: Database, tmp_path: Path) -> Iterator[Api]:
    """A service over it; nothing is written to its log, so that its end stays where it is."""
    settings = settings_for(long_database.url, tmp_path)
    with serving(settings) as api:
        yield api


def support(api: Api, **headers: str) -> httpx.Client:
    return api.client(api.key(None, "support"), **headers)


def lines(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def newest_read(api: Api, what: str) -> Any:
    items = api.admin().get("/v1/audit/reads?limit=5").json()["items"]
    return next(read for read in items if read["what"] == what)


def story(api: Api) -> tuple[str, str]:
    """An account with a generation that was charged and given back; their ids."""
    account_id = api.account()
    user = api.client(api.key(account_id))
    asked = user.post("/v1/generations", json=BODY).json()
    api.succeed(asked, images=2)
    body = {"note": "sorry"}
    refund = api.admin().post(f"/v1/generations/{asked['id']}/refund", json=body)
    assert refund.status_code == 201, refund.text
    return account_id, asked["id"]


def test_an_accounts_log_newest_first_and_oldest_first(api: Api) -> None:
    account_id, _ = story(api)
    client = support(api)
    page = client.get(URL, params={"account": account_id}).json()
    assert [event["type"] for event in page["items"]] == [
        "TokensGranted",
        "TokensConsumed",
        "GenerationRequested",
        "TokensGranted",
        "AccountOpened",
    ]
    assert page["next_cursor"] is None
    newest = page["items"][0]
    assert set(newest) == {"position", "account_id", "version", "type", "at", "actor", "data"}
    assert (newest["account_id"], newest["version"]) == (account_id, 5)
    assert newest["actor"] == "admin:bootstrap"
    assert newest["data"]["reason"] == "refund"
    assert newest["at"].endswith("Z")
    oldest = client.get(URL, params={"account": account_id, "order": "asc"}).json()
    assert oldest["items"] == page["items"][::-1]


def test_filters_and_pages(api: Api) -> None:
    account_id, generation_id = story(api)
    client = support(api)

    def types(**query: Any) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            more: Any = {"cursor": cursor} if cursor else {}
            answer = client.get(URL, params={"order": "asc", "limit": 2, **query, **more})
            assert answer.status_code == 200, answer.text
            found += [event["type"] for event in answer.json()["items"]]
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                return found

    whole = types(account=account_id)
    assert len(whole) == 5
    of_it = ["GenerationRequested", "TokensConsumed", "TokensGranted"]
    assert types(generation=generation_id) == of_it
    assert types(generation=generation_id.upper(), type="TokensConsumed") == ["TokensConsumed"]
    assert types(account=account_id, type="TokensGranted") == ["TokensGranted"] * 2
    assert types(account=account_id, actor="test") == whole[:2]
    assert types(account="never-opened") == []
    events = client.get(URL, params={"account": account_id, "order": "asc"}).json()["items"]
    third = events[2]
    assert types(account=account_id, after=third["position"]) == whole[3:]
    assert types(account=account_id, before=third["position"]) == whole[:2]
    assert types(account=account_id, **{"from": third["at"]}) == whole[2:]
    assert types(account=account_id, to=third["at"]) == whole[:2]
    elsewhere = third["at"].replace("Z", "+00:00")
    assert types(account=account_id, **{"from": elsewhere}) == whole[2:]
    unescaped = client.get(f"{URL}?account={account_id}&order=asc&from={elsewhere}")
    assert unescaped.json()["items"] == events[2:]
    assert types(account=account_id, **{"from": "2000-01-01T00:00:00Z"}) == whole
    assert types(account=account_id, to="2000-01-01T00:00:00Z") == []
    assert types(account=account_id, **{"from": "9999-01-01T00:00:00Z"}) == []


def test_an_export_is_whole_and_says_so(api: Api) -> None:
    account_id, _ = story(api)
    queries: list[dict[str, str]] = [{"account": account_id}, {"order": "asc"}, {}]
    for query in queries:
        client = support(api)
        given = {**query, "limit": "1000"}
        expected = client.get(URL, params=given).json()["items"]
        answer = client.get(URL, params=query, headers=NDJSON)
        assert answer.headers["Content-Type"].startswith("application/x-ndjson")
        position = int(answer.headers["Mintage-Position"])
        *events, end = lines(answer)
        assert events == expected
        assert end == {"end": True, "count": len(expected)}
        assert position == max(event["position"] for event in client.get(URL).json()["items"])

        answer = client.get(URL, params=query, headers=CSV)
        assert answer.headers["Content-Type"].startswith("text/csv")
        assert answer.headers["Mintage-Position"] == str(position)
        header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
        assert header == ["position", "account_id", "version", "type", "at", "actor", "data"]
        assert int(answer.headers["Mintage-Count"]) == len(rows) == len(expected)
        told = [dict(zip(header, row, strict=True)) for row in rows]
        assert [{**row, "data": json.loads(row["data"])} for row in told] == [
            {**event, "position": str(event["position"]), "version": str(event["version"])}
            for event in expected
        ]


def test_an_export_may_be_of_some_or_of_none(api: Api) -> None:
    account_id, _ = story(api)
    client = support(api)
    *events, end = lines(client.get(f"{URL}?account={account_id}&limit=3", headers=NDJSON))
    assert ([event["version"] for event in events], end["count"]) == ([5, 4, 3], 3)
    answer = client.get(f"{URL}?account={account_id}&limit=3", headers=CSV)
    assert (answer.headers["Mintage-Count"], answer.text.count("\r\n")) == ("3", 4)
    assert lines(client.get(f"{URL}?account=never", headers=NDJSON)) == [{"end": True, "count": 0}]
    answer = client.get(f"{URL}?account=never", headers=CSV)
    assert (answer.headers["Mintage-Count"], answer.text.count("\r\n")) == ("0", 1)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("application/x-ndjson, application/json;q=0.5", "application/x-ndjson"),
        ("application/json;q=0.5, text/csv;q=0.9", "text/csv"),
        ("text/html, */*;q=0.1", "application/json"),
        ("", "application/json"),
        ("application/json;q=0, */*", "application/x-ndjson"),
        ("*/*, application/json;q=0, application/x-ndjson;q=0.000", "text/csv"),
        ("application/*;q=0, text/*;q=0.001", "text/csv"),
        ("application/*;q=0.9, application/json;q=0.1", "application/x-ndjson"),
        ("text/csv;q=inf", "text/csv"),
        ("text/csv;q=nonsense, */*;q=0.5", "application/json"),
        ("TEXT/CSV ; Q=1", "text/csv"),
    ],
)
def test_what_is_accepted_is_what_comes(api: Api, accept: str, kind: str) -> None:
    answer = support(api).get(f"{URL}?account=never", headers={"Accept": accept})
    assert answer.headers["Content-Type"].partition(";")[0] == kind


@pytest.mark.parametrize(
    "accept",
    [
        *(
            "text/html",
            "application/xml",
            "image/*",
            "nonsense",
            "*/*;q=0",
            "text/csv;q=0",
            "text/csv;q=nan",
        ),
        "application/json;q=0, application/x-ndjson;q=0, text/csv;q=0",
        "text/csv, text/csv;header=absent;q=0",
    ],
)
def test_another_type_is_refused(api: Api, accept: str) -> None:
    problem = refused(support(api).get(URL, headers={"Accept": accept}), 422, "INVALID_INPUT")
    assert fields(problem) == ["Accept"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("type=tokens_granted", "type"),
        ("type=", "type"),
        ("account=a%20b", "account"),
        ("account=", "account"),
        (f"account={'x' * 65}", "account"),
        ("generation=nonsense", "generation"),
        ("generation=", "generation"),
        ("actor=", "actor"),
        ("actor=%00", "actor"),
        (f"actor={'x' * 201}", "actor"),
        ("from=", "from"),
        ("to=", "to"),
        ("from=yesterday", "from"),
        ("from=2026-01-01T00:00:00", "from"),
        ("from=2026-01-01", "from"),
        ("from=1767225600", "from"),
        ("to=2026-13-01T00:00:00Z", "to"),
        (f"to={'9' * 41}", "to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00%2B08:00", "from"),
        ("after=-1", "after"),
        ("before=-1", "before"),
        ("after=9223372036854775808", "after"),
        ("after=first", "after"),
        ("after=7&before=6", "after"),
        ("order=up", "order"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("cursor=WzFd", "cursor"),
        (f"cursor={'x' * 201}", "cursor"),
    ],
)
@pytest.mark.parametrize("headers", [{}, NDJSON, CSV], ids=["json", "ndjson", "csv"])
def test_bad_input_names_its_field(
    api: Api, query: str, field: str, headers: dict[str, str]
) -> None:
    answer = api.admin().get(f"{URL}?{query}", headers=headers)
    assert fields(refused(answer, 422, "INVALID_INPUT")) == [field]
    assert api.services.exports.taken == 0


def test_a_cursor_is_of_its_own_list_and_of_pages(api: Api) -> None:
    account_id, _ = story(api)
    client = support(api)
    params = {"account": account_id, "limit": "2"}
    cursor = client.get(URL, params=params).json()["next_cursor"]
    assert client.get(URL, params={**params, "cursor": cursor}).status_code == 200
    for other in ({"order": "asc", **params}, {"limit": "2"}):
        answer = client.get(URL, params={**other, "cursor": cursor})
        assert fields(refused(answer, 422, "INVALID_INPUT")) == ["cursor"]
    answer = client.get(URL, params={**params, "cursor": cursor}, headers=CSV)
    assert fields(refused(answer, 422, "INVALID_INPUT")) == ["cursor"]


def test_it_is_for_support_and_admins_only(api: Api) -> None:
    for headers in ({}, NDJSON, CSV):
        refused(api.user().get(URL, headers=headers), 403, "FORBIDDEN")
        refused(api.client().get(URL, headers=headers), 401, "UNAUTHENTICATED")
        assert api.admin().get(f"{URL}?limit=1", headers=headers).status_code == 200


def test_each_read_is_recorded_exports_too(api: Api) -> None:
    account_id, generation_id = story(api)
    client = support(api)
    time_ = "2026-01-31T08:00:00+08:00"
    asked = {"account": account_id, "type": "TokensGranted", "from": time_, "limit": "5"}
    assert client.get(URL, params=asked).status_code == 200
    read = newest_read(api, "events")
    assert read["account_id"] == account_id
    assert read["query"] == {"type": "TokensGranted", "from": time_, "order": "desc", "limit": 5}
    assert client.get(f"{URL}?generation={generation_id}").status_code == 200
    read = newest_read(api, "events")
    assert (read["account_id"], read["query"]["generation"]) == (account_id, generation_id)
    for form, headers in (("ndjson", NDJSON), ("csv", CSV)):
        assert client.get(URL, params={"actor": "test"}, headers=headers).status_code == 200
        read = newest_read(api, "events_export")
        assert read["account_id"] is None
        assert read["query"] == {"actor": "test", "order": "desc", "format": form}
        params = {"generation": generation_id}
        assert client.get(URL, params=params, headers=headers).status_code == 200
        assert newest_read(api, "events_export")["account_id"] == account_id


def test_what_cannot_be_recorded_is_not_answered(long_database: Database, tmp_path: Path) -> None:
    with (
        serving(settings_for(long_database.url, tmp_path)) as api,
        psycopg.connect(long_database.owner_url, autocommit=True) as owner,
    ):
        client = support(api)
        columns = "(reader, role, what, account_id, query)"
        owner.execute(f"REVOKE INSERT {columns} ON audit_reads FROM mintage_app".encode())
        try:
            for headers in ({}, NDJSON, CSV):
                refused(client.get(URL, headers=headers), 503, "UNAVAILABLE")
            assert api.services.exports.taken == 0
        finally:
            owner.execute(f"GRANT INSERT {columns} ON audit_reads TO mintage_app".encode())


def test_a_long_export_holds_no_connection_while_it_waits_and_is_whole(long_api: Api) -> None:
    client = support(long_api)
    with client.stream("GET", f"{URL}?account=long&order=asc", headers=NDJSON) as answer:
        assert answer.status_code == 200
        chunks = answer.iter_bytes()
        data = next(chunks)
        _until_quiet(long_api)
        assert long_api.services.exports.taken == 1
        for chunk in chunks:
            data += chunk
    *events, end = [json.loads(line) for line in data.splitlines()]
    assert [event["version"] for event in events] == list(range(1, LONG + 1))
    assert end == {"end": True, "count": LONG}
    _until(lambda: long_api.services.exports.taken == 0)


@pytest.mark.parametrize("headers", [NDJSON, CSV], ids=["ndjson", "csv"])
def test_a_database_that_dies_in_the_middle_cuts_the_connection(
    long_api: Api,
    long_database: Database,
    database_server: TestServer,
    headers: dict[str, str],
) -> None:
    client = support(long_api)
    url = f"{URL}?account=long"
    data = b""
    with (
        structlog.testing.capture_logs() as logs,
        client.stream("GET", url, headers=headers) as answer,
    ):
        assert answer.headers.get("Mintage-Count", str(LONG)) == str(LONG)
        chunks = answer.iter_bytes()
        data += next(chunks)
        with _unreachable(database_server, long_database):
            rest: list[bytes] = []
            with pytest.raises(httpx.RemoteProtocolError):
                rest.extend(chunks)
    data += b"".join(rest)
    assert b'"end"' not in data
    assert 0 < data.count(b"\n") < LONG
    _until(lambda: long_api.services.exports.taken == 0)
    assert any(line["event"] == "export cut off" for line in logs)
    _until(lambda: client.get(f"{URL}?limit=1").status_code == 200)


def test_whoever_hangs_up_leaves_nothing_behind(long_api: Api) -> None:
    client = support(long_api)
    for headers in (NDJSON, CSV):
        with client.stream("GET", f"{URL}?account=long", headers=headers) as answer:
            next(answer.iter_bytes())
        _until(lambda: long_api.services.exports.taken == 0)
        _until_quiet(long_api)


def test_a_process_that_goes_down_cuts_the_connection(
    long_database: Database, tmp_path: Path
) -> None:
    with serving(settings_for(long_database.url, tmp_path)) as api:
        client = support(api)
        with client.stream("GET", f"{URL}?account=long", headers=NDJSON) as answer:
            chunks = answer.iter_bytes()
            next(chunks)
            api.services.watcher.stop_waiting()
            with pytest.raises(httpx.RemoteProtocolError):
                list(chunks)


def test_a_process_that_goes_down_counts_no_further(
    long_database: Database, tmp_path: Path
) -> None:
    with serving(settings_for(long_database.url, tmp_path)) as api:
        client = support(api)
        api.services.watcher.stop_waiting()
        refused(client.get(f"{URL}?actor=cli", headers=CSV), 503, "UNAVAILABLE")
        assert api.services.exports.taken == 0


def test_whoever_takes_nothing_is_hung_up(long_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "STALL_SECONDS_MAX", 0.5)
    client = support(long_api)
    with client.stream("GET", f"{URL}?account=long", headers=NDJSON) as answer:
        chunks = answer.iter_bytes()
        next(chunks)
        _until(lambda: long_api.services.exports.taken == 0)
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)


def test_more_exports_than_one_process_gives_are_told_to_come_again(
    long_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "EXPORTS_MAX", 1)
    client = support(long_api)
    with client.stream("GET", f"{URL}?account=long", headers=NDJSON) as answer:
        next(answer.iter_bytes())
        other = support(long_api)
        problem = refused(other.get(URL, headers=CSV), 429, "RATE_LIMITED")
        assert "export" in problem["detail"]
        assert int(other.get(URL, headers=CSV).headers["Retry-After"]) >= 1
        assert other.get(URL).status_code == 200
    _until(lambda: long_api.services.exports.taken == 0)
    assert lines(client.get(f"{URL}?limit=1", headers=NDJSON))[-1]["count"] == 1


def test_the_document_tells_of_all_three_forms(api: Api) -> None:
    document = api.client().get("/schema/openapi.json").json()
    operation = document["paths"][URL]["get"]
    answer = operation["responses"]["200"]
    assert set(answer["content"]) == {"application/json", "application/x-ndjson", "text/csv"}
    assert set(answer["headers"]) == {"Mintage-Position", "Mintage-Count"}
    assert {parameter["name"] for parameter in operation["parameters"]} == {
        *("account", "type", "generation", "actor", "from", "to", "after", "before"),
        *("order", "cursor", "limit"),
    }


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _until_quiet(api: Api) -> None:
    """Until every connection is back in the pool."""

    def quiet() -> bool:
        stats = api.services.pool.get_stats()
        return stats["pool_available"] == stats["pool_size"]

    _until(quiet)


@contextlib.contextmanager
def _unreachable(server: TestServer, database: Database) -> Iterator[None]:
    with psycopg.connect(server.postgres.superuser_url, autocommit=True) as maintenance:
        allow = f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS"
        maintenance.execute(f"{allow} false".encode())
        maintenance.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (database.name,),
        )
        try:
            yield
        finally:
            maintenance.execute(f"{allow} true".encode())
