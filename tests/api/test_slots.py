"""Slow work of one kind takes no slot of another's."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api import health
from api.audit import accounts, events, explanations, reads
from api.threads import AUDIT_READS_MAX, READS_MAX
from api_client import Api

SECONDS_MAX = 30.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("module", "name", "url"),
    [
        (explanations, "explained", "/v1/audit/accounts/{account}/explanation"),
        (accounts, "audit_account", "/v1/audit/accounts/{account}"),
        (accounts, "search_accounts", "/v1/audit/accounts?q=x"),
        (events, "_look", "/v1/audit/events"),
        (reads, "select_reads", "/v1/audit/reads"),
    ],
)
def test_slow_audit_reads_stop_no_login(
    api: Api, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, url: str
) -> None:
    user, support = api.user(), api.client(api.key(None, "support"))
    account_id = user.get("/v1/balance").json()["account_id"]
    release = threading.Event()
    whole = getattr(module, name)

    def slowly(connection: Any, *args: Any, **kwargs: Any) -> Any:
        assert release.wait(3 * SECONDS_MAX)
        return whole(connection, *args, **kwargs)

    monkeypatch.setattr(module, name, slowly)
    asked = AUDIT_READS_MAX + READS_MAX
    with ThreadPoolExecutor(asked) as pool:
        try:
            waiting = [
                pool.submit(support.get, url.format(account=account_id)) for _ in range(asked)
            ]
            limiter = api.services.threads._audit_reads
            until(lambda: limiter.statistics().tasks_waiting == READS_MAX)
            started = time.monotonic()
            assert user.get("/v1/balance").status_code == 200
            assert time.monotonic() - started < SECONDS_MAX
        finally:
            release.set()
        assert {each.result().status_code for each in waiting} == {200}


def test_all_parts_of_readiness_are_looked_at_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS_MAX", SECONDS_MAX)
    met = threading.Barrier(4)

    def meet(*_: Any) -> None:
        met.wait(health.CHECK_SECONDS_MAX - 1)

    for name in ("_check_database", "_check_views", "_check_chain"):
        monkeypatch.setattr(health, name, meet)
    monkeypatch.setattr(api.services.storage, "check", meet)
    assert api.client().get("/health/ready").json() == {"status": "ok"}
