"""Asking for a generation: the answer, the numbers, and what is refused."""

import base64
import hashlib
import io
import json
from typing import Any

import msgspec
import pytest
from PIL import Image

from api_client import Api, png
from problems import refused

BODY = {"prompt_id": "dreamy-forest"}


def test_a_generation_is_accepted_and_its_cost_held(api: Api) -> None:
    user = api.user(tokens=12)
    answer = user.post("/v1/generations", json={**BODY, "count": 2, "expected_cost": 10})
    document = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == document["urls"]["self"]
    assert document == user.get(document["urls"]["self"]).json()
    assert document["status"] == "queued"
    assert document["step"] == "validating"
    assert document["prompt"] == {"id": "dreamy-forest", "title": "梦幻森林"}
    assert (document["count"], document["aspect_ratio"]) == (2, "1:1")
    assert document["cost"] == {"held": 10, "charged": 0}
    assert document["remaining_tokens"] == 2
    assert document["images"] == []
    assert document["error"] is None
    assert document["ended_at"] is None
    assert document["reference_url"] is None
    assert document["created_at"].endswith("Z")
    balance = user.get("/v1/balance").json()
    assert balance == {
        "account_id": document["account_id"],
        "is_member": False,
        "available": 2,
        "held": 10,
        "settled": 12,
        "position": document["position"],
    }


def test_an_image_comes_of_it_and_is_charged(api: Api) -> None:
    user = api.user(tokens=12)
    asked = user.post("/v1/generations", json=BODY).json()
    api.step(asked, "generating")
    assert user.get(asked["urls"]["self"]).json()["status"] == "processing"
    data = api.succeed(asked)
    document = user.get(asked["urls"]["self"]).json()
    assert (document["status"], document["step"]) == ("succeeded", "completed")
    assert document["cost"] == {"held": 0, "charged": 5}
    assert document["remaining_tokens"] == 7
    assert document["ended_at"] is not None
    assert document["position"] > asked["position"]
    (image,) = document["images"]
    assert image["sha256"] == hashlib.sha256(data).hexdigest()
    assert image["generation_id"] == document["id"]
    assert user.get(image["url"], follow_redirects=True).content == data


@pytest.mark.parametrize("accept_language", ["en", "zh-CN"])
def test_a_failure_says_why_and_that_nothing_was_charged(api: Api, accept_language: str) -> None:
    user = api.user(tokens=12)
    asked = user.post("/v1/generations", json=BODY).json()
    api.fail(asked, "rate_limited")
    headers = {"Accept-Language": accept_language}
    document = user.get(asked["urls"]["self"], headers=headers).json()
    assert (document["status"], document["step"]) == ("failed", "error")
    assert document["cost"] == {"held": 0, "charged": 0}
    assert document["remaining_tokens"] == 12
    message = document["error"].pop("message")
    assert document["error"] == {
        "code": "GENERATION_FAILED",
        "reason": "rate_limited",
        "retryable": True,
    }
    ending = "Nothing was charged." if accept_language == "en" else "未扣费。"
    assert message.endswith(ending)


def test_too_few_tokens(api: Api) -> None:
    user = api.user(tokens=4)
    problem = refused(user.post("/v1/generations", json=BODY), 402, "INSUFFICIENT_TOKENS")
    assert (problem["cost"], problem["available"]) == (5, 4)
    chinese = user.post("/v1/generations", json=BODY, headers={"Accept-Language": "zh-CN"})
    assert chinese.json()["detail"] == "代币不足：需要 5，可用 4。"
    assert user.get("/v1/generations").json() == {"items": [], "next_cursor": None}


def test_members_only_unknown_and_hidden_prompts_and_another_price(api: Api) -> None:
    user = api.user()
    post = user.post
    castle = {"prompt_id": "magic-castle"}
    refused(post("/v1/generations", json=castle), 403, "MEMBERSHIP_REQUIRED")
    refused(post("/v1/generations", json={"prompt_id": "none"}), 404, "PROMPT_NOT_FOUND")
    problem = refused(
        post("/v1/generations", json={**BODY, "expected_cost": 4}), 409, "PRICE_CHANGED"
    )
    assert problem["cost"] == 5
    admin = api.admin()
    made = admin.post("/v1/prompts", json={"title": "Short-lived", "content": "x"}).json()
    assert admin.delete(f"/v1/prompts/{made['id']}").status_code == 204
    refused(post("/v1/generations", json={"prompt_id": made["id"]}), 404, "PROMPT_NOT_FOUND")
    assert user.get("/v1/balance").json()["held"] == 0


def test_a_member_may_use_what_is_for_members(api: Api) -> None:
    answer = api.user(member=True).post("/v1/generations", json={"prompt_id": "magic-castle"})
    assert answer.status_code == 202
    assert answer.json()["cost"]["held"] == 10


REFERENCE = png(40)


def as_json(text: str) -> dict[str, Any]:
    return {"json": {**BODY, "reference_image": text}}


@pytest.mark.parametrize(
    "sent",
    [
        as_json(base64.b64encode(REFERENCE).decode()),
        as_json("data:image/png;base64," + base64.b64encode(REFERENCE).decode()),
        as_json(base64.encodebytes(REFERENCE).decode()),
        {"data": BODY, "files": {"reference_image": ("a.png", REFERENCE, "image/png")}},
    ],
    ids=["base64", "data-url", "wrapped", "multipart"],
)
def test_a_reference_is_stored_clean_and_opens_for_its_owner(
    api: Api, sent: dict[str, Any]
) -> None:
    user = api.user()
    document = user.post("/v1/generations", **sent).json()
    assert document["reference_url"] == f"/v1/generations/{document['id']}/reference"
    redirect = user.get(document["reference_url"])
    assert redirect.status_code == 307
    opened = api.client().get(redirect.headers["Location"])
    assert opened.status_code == 200
    assert opened.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(opened.content)).size == (40, 40)
    assert api.user().get(document["reference_url"]).status_code == 404
    assert api.client().get(document["reference_url"]).status_code == 401


@pytest.mark.parametrize("data", [b"GIF89a", b"", REFERENCE[:60], b"<svg/>"])
def test_what_is_no_picture_is_refused_before_anything_is_written(api: Api, data: bytes) -> None:
    user = api.user()
    text = base64.b64encode(data).decode()
    refused(user.post("/v1/generations", **as_json(text)), 422, "UNSUPPORTED_IMAGE")
    files = {"reference_image": ("a.png", data, "image/png")}
    refused(user.post("/v1/generations", data=BODY, files=files), 422, "UNSUPPORTED_IMAGE")
    account_id = user.get("/v1/me").json()["account_id"]
    assert api.services.storage.list(f"{account_id}/") == []
    assert user.get("/v1/balance").json()["held"] == 0


def test_a_picture_or_a_body_over_its_limit(api: Api) -> None:
    user = api.user()
    maximum = api.services.settings.reference_max_bytes
    over = bytes(maximum + 1)
    files = {"reference_image": ("a.png", over, "image/png")}
    refused(user.post("/v1/generations", data=BODY, files=files), 413, "PAYLOAD_TOO_LARGE")
    text = base64.b64encode(over).decode()
    refused(user.post("/v1/generations", **as_json(text)), 413, "PAYLOAD_TOO_LARGE")
    # Far over: refused by its announced length, and still answered rather than cut off.
    huge = json.dumps({**BODY, "reference_image": "A" * (3 * maximum)})
    refused(user.post("/v1/generations", content=huge), 413, "PAYLOAD_TOO_LARGE")
    refused(user.post("/v1/generations/quote", content=huge), 413, "PAYLOAD_TOO_LARGE")
    large = json.dumps({"email": "a@b", "name": "x" * 70_000})
    refused(api.admin().post("/v1/accounts", content=large), 413, "PAYLOAD_TOO_LARGE")


def test_cheap_refusals_come_before_the_picture_is_looked_at(api: Api) -> None:
    user = api.user(tokens=0)
    text = base64.b64encode(b"no picture").decode()
    refused(user.post("/v1/generations", **as_json(text)), 402, "INSUFFICIENT_TOKENS")


def test_a_quote_changes_nothing(api: Api) -> None:
    user = api.user(tokens=12)
    quote = user.post("/v1/generations/quote", json={**BODY, "count": 2}).json()
    assert quote == {
        "cost": 10,
        "available": 12,
        "available_after": 2,
        "affordable": True,
        "members_only": False,
        "allowed": True,
    }
    dear = user.post("/v1/generations/quote", json={"prompt_id": "magic-castle", "count": 4}).json()
    assert (dear["cost"], dear["affordable"], dear["allowed"]) == (40, False, False)
    refused(user.post("/v1/generations/quote", json={"prompt_id": "none"}), 404, "PROMPT_NOT_FOUND")
    assert user.get("/v1/balance").json()["available"] == 12


def test_canceling_gives_the_hold_back_and_the_first_ending_stands(api: Api) -> None:
    user = api.user(tokens=12)
    asked = user.post("/v1/generations", json=BODY).json()
    canceled = user.post(asked["urls"]["cancel"])
    assert canceled.status_code == 200
    assert canceled.json()["status"] == "canceled"
    assert canceled.json()["error"]["reason"] == "canceled"
    assert canceled.json()["remaining_tokens"] == 12
    assert user.post(asked["urls"]["cancel"]).json() == canceled.json()
    done = user.post("/v1/generations", json=BODY).json()
    api.succeed(done)
    assert user.post(done["urls"]["cancel"]).json()["status"] == "succeeded"
    refused(api.user().post(asked["urls"]["cancel"]), 404, "NOT_FOUND")


def test_the_rate_is_limited(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = msgspec.structs.replace(api.services.settings, rate_limit_generations_per_minute=1)
    limited = msgspec.structs.replace(api.services, settings=slow)
    monkeypatch.setattr(api.app.state, "services", limited, raising=False)
    user = api.user()
    assert user.post("/v1/generations", json=BODY).status_code == 202
    answer = user.post("/v1/generations", json=BODY)
    refused(answer, 429, "RATE_LIMITED")
    assert 1 <= int(answer.headers["Retry-After"]) <= 120
