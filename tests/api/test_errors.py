"""Bad input everywhere: a problem that names the field, in the caller's language; nothing else."""

import json
from typing import Any

import httpx
import pytest

from api_client import Api
from problems import fields, refused

GENERATIONS = "/v1/generations"
BODY = {"prompt_id": "dreamy-forest"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b"\xff\xfe",
        b'{"prompt_id": "\\ud800"}',
        b'{"unknown": 1, "prompt_id": ',
        b"[" * 50_000,
    ],
)
@pytest.mark.parametrize("url", [GENERATIONS, f"{GENERATIONS}/quote", "/v1/accounts"])
def test_what_is_no_json_is_400(api: Api, url: str, body: bytes) -> None:
    caller = api.admin() if url == "/v1/accounts" else api.user()
    answer = caller.post(url, content=body, headers={"Content-Type": "application/json"})
    assert fields(refused(answer, 400, "INVALID_INPUT")) == ["body"]


BAD_GENERATIONS: list[tuple[Any, str]] = [
    ({}, "prompt_id"),
    ([], "body"),
    ("text", "body"),
    (None, "body"),
    ({**BODY, "surprise": 1}, "surprise"),
    ({"prompt_id": 5}, "prompt_id"),
    ({"prompt_id": "with space"}, "prompt_id"),
    ({"prompt_id": "nul\0"}, "prompt_id"),
    ({"prompt_id": "line\n"}, "prompt_id"),
    ({"prompt_id": "x" * 65}, "prompt_id"),
    ({**BODY, "count": 0}, "count"),
    ({**BODY, "count": 5}, "count"),
    ({**BODY, "count": "2"}, "count"),
    ({**BODY, "count": True}, "count"),
    ({**BODY, "count": 1.5}, "count"),
    ({**BODY, "count": None}, "count"),
    ({**BODY, "count": 10**40}, "count"),
    ({**BODY, "count": 10**400}, "count"),
    ({**BODY, "aspect_ratio": "5:4"}, "aspect_ratio"),
    ({**BODY, "expected_cost": -1}, "expected_cost"),
    ({**BODY, "expected_cost": 10**30}, "expected_cost"),
    ({**BODY, "reference_image": "not base64!"}, "reference_image"),
    ({**BODY, "reference_image": 5}, "reference_image"),
    ({**BODY, "reference_image": "data:image/png,plain"}, "reference_image"),
]


@pytest.mark.parametrize(("body", "field"), BAD_GENERATIONS)
@pytest.mark.parametrize("url", [GENERATIONS, f"{GENERATIONS}/quote"])
def test_a_generations_wrong_field_is_named(api: Api, url: str, body: Any, field: str) -> None:
    user = api.user()
    answer = user.post(url, content=json.dumps(body))
    assert fields(refused(answer, 422, "INVALID_INPUT")) == [field]
    assert user.get("/v1/balance").json()["held"] == 0


@pytest.mark.parametrize(
    ("form", "files", "field"),
    [
        ({}, {}, "prompt_id"),
        ({**BODY, "count": "many"}, {}, "count"),
        ({**BODY, "count": "5"}, {}, "count"),
        ({**BODY, "count": ["1", "2"]}, {}, "count"),
        ({**BODY, "extra": "1"}, {}, "extra"),
        (BODY, {"count": ("a.txt", b"1")}, "count"),
        (BODY, {"other": ("a.txt", b"1")}, "other"),
    ],
)
def test_a_forms_wrong_field_is_named(
    api: Api, form: dict[str, Any], files: dict[str, Any], field: str
) -> None:
    files = {**files, **({} if files else {"reference_image": ("", b"")})}
    answer = api.user().post(GENERATIONS, data=form, files=files)
    assert fields(refused(answer, 422, "INVALID_INPUT")) == [field]


def test_a_form_without_a_chosen_file_is_one_without_a_reference(api: Api) -> None:
    raw = (
        b"--b\r\nContent-Disposition: form-data; name=prompt_id\r\n\r\ndreamy-forest\r\n"
        b'--b\r\nContent-Disposition: form-data; name=reference_image; filename=""\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\r\n--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = api.user().post(GENERATIONS, content=raw, headers=headers)
    assert (answer.status_code, answer.json()["reference_url"]) == (202, None)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--b--"),
        ("multipart/form-data; boundary=b", b"nothing of the kind"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=x\r\n"),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Disposition: form-data; name=prompt_id\r\n\r\n\xff\xfe\r\n--b--\r\n",
        ),
        (
            "multipart/form-data; boundary=b",
            b"".join(
                b"--b\r\nContent-Disposition: form-data; name=f%d\r\n\r\n1\r\n" % n
                for n in range(100)
            )
            + b"--b--\r\n",
        ),
    ],
)
def test_a_broken_form_is_400(api: Api, content_type: str, body: bytes) -> None:
    headers = {"Content-Type": content_type}
    answer = api.user().post(GENERATIONS, content=body, headers=headers)
    assert answer.status_code in {400, 413, 422}
    assert answer.json()["code"] in {"INVALID_INPUT", "PAYLOAD_TOO_LARGE"}


BAD_ADMIN: list[tuple[str, str, Any, str]] = [
    ("POST", "/v1/accounts", {}, "email"),
    ("POST", "/v1/accounts", {"email": "no address"}, "email"),
    ("POST", "/v1/accounts", {"email": "nul\0@example.com"}, "email"),
    ("POST", "/v1/accounts", {"email": "a@b", "id": "../etc"}, "id"),
    ("POST", "/v1/accounts", {"email": "a@b", "tokens": -1}, "tokens"),
    ("POST", "/v1/accounts", {"email": "a@b", "tokens": 10**10}, "tokens"),
    ("POST", "/v1/accounts", {"email": "a@b", "name": "nul\0"}, "name"),
    ("POST", "/v1/accounts", {"email": "a@b", "name": "x" * 101}, "name"),
    ("POST", "/v1/accounts", {"email": "a@b", "is_member": 1}, "is_member"),
    ("POST", "/v1/accounts", {"email": "a@b", "role": "admin"}, "role"),
    ("PATCH", "/v1/accounts/demo-user-123", {"role": "root"}, "role"),
    ("PATCH", "/v1/accounts/demo-user-123", {"email": "a@b"}, "email"),
    ("POST", "/v1/accounts/demo-user-123/grants", {"amount": 0, "reason": "promo"}, "amount"),
    ("POST", "/v1/accounts/demo-user-123/grants", {"amount": "5", "reason": "promo"}, "amount"),
    ("POST", "/v1/accounts/demo-user-123/grants", {"amount": 10**30, "reason": "promo"}, "amount"),
    ("POST", "/v1/accounts/demo-user-123/grants", {"amount": 1, "reason": "refund"}, "reason"),
    (
        "POST",
        "/v1/accounts/demo-user-123/grants",
        {"amount": 1, "reason": "promo", "reference": "nul\0"},
        "reference",
    ),
    ("POST", "/v1/accounts/demo-user-123/revocations", {"amount": 1, "note": ""}, "note"),
    ("POST", "/v1/accounts/demo-user-123/keys", {"role": "user", "name": ""}, "name"),
    ("POST", "/v1/accounts/demo-user-123/keys", {"role": "god", "name": "k"}, "role"),
    ("POST", "/v1/prompts", {"title": "", "content": "x"}, "title"),
    ("POST", "/v1/prompts", {"title": "x"}, "content"),
    ("POST", "/v1/prompts", {"title": "x", "content": "x", "token_cost": -1}, "token_cost"),
    ("POST", "/v1/prompts", {"title": "x", "content": "nul\0"}, "content"),
    ("PATCH", "/v1/prompts/dreamy-forest", {"title": None}, "title"),
]


@pytest.mark.parametrize(("method", "url", "body", "field"), BAD_ADMIN)
def test_an_admins_wrong_field_is_named(
    api: Api, method: str, url: str, body: Any, field: str
) -> None:
    answer = api.admin().request(method, url, json=body)
    assert fields(refused(answer, 422, "INVALID_INPUT")) == [field]


def test_a_balance_that_would_grow_beyond_its_bound_is_named(api: Api) -> None:
    admin, account_id = api.admin(), api.account(tokens=0)
    url = f"/v1/accounts/{account_id}/grants"
    body = {"amount": 1_000_000_000, "reason": "promo"}
    for _ in range(999):
        api.grant(account_id, 1_000_000_000)
    assert admin.post(url, json=body).status_code == 201
    answer = admin.post(url, json={"amount": 1, "reason": "promo"})
    assert fields(refused(answer, 422, "INVALID_INPUT")) == ["balance"]


LISTS = ["/v1/generations", "/v1/images", "/v1/transactions", "/v1/prompts"]


@pytest.mark.parametrize("url", LISTS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "many"),
        ("limit", "9" * 30),
        ("cursor", "nonsense"),
        ("cursor", "W10"),
        ("cursor", "WyJ4Il0"),
        ("cursor", "Wy0xXQ"),
        ("cursor", "ü"),
        ("cursor", "x" * 300),
    ],
)
def test_a_lists_wrong_parameter_is_named(api: Api, url: str, name: str, value: str) -> None:
    answer = api.user().get(url, params={name: value})
    assert fields(refused(answer, 422, "INVALID_INPUT")) == [name]


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        ("/v1/generations", "status", "done"),
        ("/v1/transactions", "type", "token_theft"),
        ("/v1/images", "favorite", "perhaps"),
        ("/v1/images", "q", "x" * 101),
        ("/v1/prompts", "q", "nul\0"),
        ("/v1/prompts", "category", "nul\0"),
    ],
)
def test_a_filters_wrong_value_is_named(api: Api, url: str, name: str, value: str) -> None:
    answer = api.user().get(url, params={name: value})
    assert fields(refused(answer, 422, "INVALID_INPUT")) == [name]


def test_addresses_that_are_not_there(api: Api) -> None:
    user = api.user()
    for url in ("/v1/nothing", "/v1/generations/not-a-uuid", "/v1/images/1", "/nothing"):
        refused(user.get(url), 404, "NOT_FOUND")
    answer = user.delete("/v1/balance")
    refused(answer, 405, "METHOD_NOT_ALLOWED")
    assert "GET" in answer.headers["Allow"]


def test_details_follow_the_language_and_codes_do_not(api: Api) -> None:
    user = api.client()

    def detail(accept: str | None) -> tuple[str, str]:
        headers = {} if accept is None else {"Accept-Language": accept}
        answer = httpx.get(f"{api.url}/v1/me", headers=headers, trust_env=False)
        return answer.json()["detail"], answer.headers["Content-Language"]

    chinese = ("请登录，或提供有效的 API 密钥。", "zh-CN")
    english = ("Log in, or send a valid API key.", "en")
    assert user.get("/v1/me").json()["code"] == "UNAUTHENTICATED"
    for accept in (None, "zh-CN", "zh", "fr", "*", "en;q=0.1,zh;q=0.9", "en;q=0", ";;;", "x" * 999):
        assert detail(accept) == chinese, accept
    for accept in ("en", "en-GB,zh;q=0.5", "fr, en;q=0.3", "EN-us"):
        assert detail(accept) == english, accept


def test_a_field_message_is_in_the_language_too(api: Api) -> None:
    headers = {"Accept-Language": "zh-CN"}
    problem = api.user().post(GENERATIONS, json={**BODY, "count": 9}, headers=headers).json()
    assert problem["errors"] == [{"field": "count", "message": "不能大于 4。"}]
