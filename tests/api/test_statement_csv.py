"""The statement as CSV: whole, escaped, counted beforehand, or seen to be cut."""

import csv
import io
import threading
from typing import Any

import httpx
import pytest

from api.accounts import statements
from api_client import Api
from problems import fields, refused
from projections.reads import count_transactions

URL = "/v1/transactions"
CSV = {"Accept": "text/csv"}


def spend(api: Api, user: httpx.Client, prompt: str = "dreamy-forest") -> Any:
    asked = user.post("/v1/generations", json={"prompt_id": prompt}).json()
    api.succeed(asked)
    return asked


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert int(answer.headers["Mintage-Count"]) == len(rows)
    return rows


def test_it_says_what_the_pages_say(api: Api) -> None:
    account_id = api.account()
    user = api.client(api.key(account_id))
    asked = spend(api, user)
    note = {"note": "sorry"}
    assert api.admin().post(f"/v1/generations/{asked['id']}/refund", json=note).is_success
    body = {"amount": 7, "note": "by mistake"}
    assert api.admin().post(f"/v1/accounts/{account_id}/revocations", json=body).is_success
    answer = user.get(URL, headers=CSV)
    disposition = answer.headers["Content-Disposition"]
    assert disposition == 'attachment; filename="transactions.csv"'
    items = user.get(URL).json()["items"]
    told = [{name: "" if v is None else str(v) for name, v in item.items()} for item in items]
    assert rows_of(answer) == told
    assert [row["amount"] for row in told] == ["-7", "5", "-5", "100"]
    assert rows_of(user.get(f"{URL}?type=token_refund", headers=CSV)) == told[1:2]
    assert rows_of(user.get(f"{URL}?limit=2", headers=CSV)) == told[:2]
    chinese = rows_of(user.get(URL, headers=CSV | {"Accept-Language": "zh-CN"}))
    assert chinese[2]["description"] == "生成图片：梦幻森林"


def test_what_a_spreadsheet_would_run_is_text(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user = api.user()
    body = {"title": "=HYPERLINK(1)", "content": "x", "token_cost": 1}
    prompt = api.admin().post("/v1/prompts", json=body).json()
    spend(api, user, prompt["id"])

    class Bare:
        def text(self, _: str) -> str:
            return "=HYPERLINK(1)"

    monkeypatch.setattr(statements, "describe_transaction", lambda *_: Bare())
    assert rows_of(user.get(URL, headers=CSV))[0]["description"] == "'=HYPERLINK(1)"


def test_a_long_statement_is_read_in_pieces(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "LIMIT_MAX", 3)
    account_id = api.account()
    for amount in range(1, 10):
        api.grant(account_id, amount)
    user = api.client(api.key(account_id))
    amounts = [row["amount"] for row in rows_of(user.get(URL, headers=CSV))]
    assert amounts == [*map(str, range(9, 0, -1)), "100"]
    assert len(rows_of(user.get(f"{URL}?limit=7", headers=CSV))) == 7


def test_lines_that_come_meanwhile_are_not_in_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = api.account()
    user = api.client(api.key(account_id))
    counted = count_transactions

    def late(*args: Any, **kwargs: Any) -> int:
        granting = threading.Thread(target=api.grant, args=(account_id, 1))
        granting.start()
        granting.join()
        user.get(URL)  # the view has it now
        return counted(*args, **kwargs)

    monkeypatch.setattr(statements, "count_transactions", late)
    assert len(rows_of(user.get(URL, headers=CSV))) == 1


def test_a_process_that_goes_down_cuts_the_connection(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "LIMIT_MAX", 1)
    account_id = api.account()
    api.grant(account_id, 1)
    user = api.client(api.key(account_id))
    monkeypatch.setattr(type(api.services.watcher), "closing", True)
    with pytest.raises(httpx.RemoteProtocolError):
        user.get(URL, headers=CSV)
    monkeypatch.undo()
    assert api.services.downloads.taken == 0


def test_refusals(api: Api) -> None:
    user = api.user()
    refused(api.client().get(URL, headers=CSV), 401, "UNAUTHENTICATED")
    answer = user.get(f"{URL}?cursor=WzFd", headers=CSV)
    assert fields(refused(answer, 422, "INVALID_INPUT")) == ["cursor"]
    answer = user.get(f"{URL}?type=theft", headers=CSV)
    assert fields(refused(answer, 422, "INVALID_INPUT")) == ["type"]
    assert api.services.downloads.taken == 0


def test_an_accounts_third_download_has_to_wait(api: Api) -> None:
    account_id = api.account()
    user = api.client(api.key(account_id))
    for _ in range(2):
        api.services.downloads.take(account_id)
    refused(user.get(URL, headers=CSV), 429, "RATE_LIMITED")
    for _ in range(2):
        api.services.downloads.give_back(account_id)
    assert rows_of(user.get(URL, headers=CSV))


def test_the_document_tells_of_both_forms(api: Api) -> None:
    operation = api.client().get("/schema/openapi.json").json()["paths"][URL]["get"]
    answer = operation["responses"]["200"]
    assert set(answer["content"]) == {"application/json", "text/csv"}
    assert "Mintage-Count" in answer["headers"]
