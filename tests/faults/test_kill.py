"""kill -9 at every moment that matters: each generation still ends once, charged once or not."""

import hashlib
from collections.abc import Iterator
from uuid import UUID

import httpx
import psycopg
import pytest

import databases
from gemini_stub import GeminiStub
from ledger.identity import ending_id, new_id
from stack import SUPPORT, Stack, ended, story, wait_until

MOMENTS = ("before_call", "after_call", "before_put", "after_put", "before_commit", "after_commit")


@pytest.fixture(scope="module")
def provider() -> Iterator[GeminiStub]:
    with GeminiStub() as running:
        yield running


@pytest.fixture(scope="module")
def service(
    database_server: databases.TestServer,
    tmp_path_factory: pytest.TempPathFactory,
    provider: GeminiStub,
) -> Iterator[Stack]:
    settings = {
        "GEMINI_API_KEY": "test-key",
        "GEMINI_BASE_URL": provider.base_url,
        "GEMINI_TIMEOUT_SECONDS": "20",
        "GENERATION_LEASE_SECONDS": "20",
    }
    with (
        database_server.database() as database,
        Stack(database, tmp_path_factory.mktemp("service"), settings) as running,
    ):
        running.start_api()
        running.start_projector()
        yield running


@pytest.fixture
def stack(service: Stack) -> Iterator[Stack]:
    """The service without a worker: each test has its own, on an account of its own."""
    yield service
    service.kill_workers()


@pytest.fixture
def key(stack: Stack) -> str:
    """A key for a fresh account of 100 tokens."""
    return stack.open_account(f"account-{new_id()}", tokens=100)


def run_out(stack: Stack) -> None:
    """End the leases of whoever died: so short a lease that it is soon over is soon lost, too."""
    with psycopg.connect(stack.database.url, autocommit=True) as connection:
        connection.execute("UPDATE generation_leases SET lease_until = now() - interval '1 second'")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_worker_leaves_nothing_half_done(
    stack: Stack, provider: GeminiStub, key: str, moment: str
) -> None:
    content = f"a forest, {moment}"
    prompt = stack.add_prompt(content)
    with stack.client(key) as ada:
        asked = ada.post("/v1/generations", json={"prompt_id": prompt})
        assert asked.status_code == 202
        generation_id = asked.json()["id"]

        dying = stack.start_worker(script=(str(SUPPORT / "dying_worker.py"), moment))
        wait_until(lambda: stack.ended(dying), what="death")
        assert stack.kill(dying) == -9
        run_out(stack)
        if moment != "after_commit":
            assert ada.get("/v1/balance").json()["held"] == 5

        stack.start_worker()
        generation = ended(ada, generation_id)
        assert generation["status"] == "succeeded"
        balance = ada.get("/v1/balance").json()
        assert (balance["available"], balance["held"]) == (95, 0)
        (image,) = generation["images"]
        data = ada.get(image["url"], follow_redirects=True).content
        assert hashlib.sha256(data).hexdigest() == image["sha256"]
    assert story(stack.database, generation_id) == ["generation_requested", "tokens_consumed"]
    # A call that was not stored is made again; what was stored whole is not paid for twice.
    calls = {"before_call": 1, "before_commit": 1, "after_commit": 1}.get(moment, 2)
    assert provider.count(content) == calls


def test_what_kills_each_worker_fails_in_the_end(stack: Stack, key: str) -> None:
    with stack.client(key) as ada:
        asked = ada.post("/v1/generations", json={"prompt_id": "dreamy-forest"}).json()
        for _ in range(3):
            dying = stack.start_worker(script=(str(SUPPORT / "dying_worker.py"), "after_call"))
            wait_until(lambda name=dying: stack.ended(name), what="death")
            assert stack.kill(dying) == -9
            run_out(stack)
        stack.start_worker()
        generation = ended(ada, asked["id"])
        assert generation["status"] == "failed"
        assert ada.get("/v1/balance").json()["available"] == 100
    with psycopg.connect(stack.database.url) as connection:
        row = connection.execute(
            "SELECT data->'attempts' FROM ledger_events"
            " WHERE topic = 'generation_failed:1' AND fact_id = %s",
            (ending_id(UUID(asked["id"])),),
        ).fetchone()
    assert row is not None
    assert [attempt["outcome"] for attempt in row[0]] == ["lost", "lost", "lost"]


def test_a_killed_api_loses_no_request_that_it_recorded(stack: Stack, key: str) -> None:
    stack.kill_apis()
    stack.start_api(script=(str(SUPPORT / "dying_api.py"),))
    headers = {"Idempotency-Key": "cut-off"}
    with stack.client(key) as ada, pytest.raises(httpx.HTTPError):
        ada.post("/v1/generations", json={"prompt_id": "dreamy-forest"}, headers=headers)
    stack.kill_apis()
    stack.start_api()
    stack.start_worker()
    with stack.client(key) as ada:
        again = ada.post("/v1/generations", json={"prompt_id": "dreamy-forest"}, headers=headers)
        assert again.headers["Idempotency-Replayed"] == "true"
        generation = ended(ada, again.json()["id"])
        assert generation["status"] == "succeeded"
        assert ada.get("/v1/balance").json()["available"] == 95
        assert len(ada.get("/v1/generations").json()["items"]) == 1
