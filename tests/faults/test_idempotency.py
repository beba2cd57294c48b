"""Same key, same answer: at once, after the end, after a restart, whatever changed meanwhile."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import databases
import hammer
from gemini_stub import GeminiStub
from stack import Stack, ended, story

REQUESTS = 200


def jpeg() -> bytes:
    target = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(target, "JPEG")
    return target.getvalue()


@pytest.fixture
def provider() -> Iterator[GeminiStub]:
    with GeminiStub() as running:
        yield running


@pytest.fixture
def stack(database: databases.Database, tmp_path: Path, provider: GeminiStub) -> Iterator[Stack]:
    settings = {
        "GEMINI_API_KEY": "test-key",
        "GEMINI_BASE_URL": provider.base_url,
        "GEMINI_TIMEOUT_SECONDS": "60",
    }
    with Stack(database, tmp_path, settings) as running:
        running.start_api(2)
        running.start_projector()
        running.start_worker()
        yield running


def test_same_key_same_answer(stack: Stack, provider: GeminiStub) -> None:
    picture = jpeg()
    content = "a forest for one key [stub:delay:300]"
    prompt = stack.add_prompt(content)
    key = stack.open_account("ada", tokens=5)
    body = {
        "prompt_id": prompt,
        "reference_image": "data:image/jpeg;base64," + base64.b64encode(picture).decode(),
    }
    key_header = {"Idempotency-Key": "order-1@example.com"}

    answers = hammer.post_all(
        [f"{url}/v1/generations" for url in stack.urls],
        body,
        {"Authorization": f"Bearer {key}", **key_header},
        count=REQUESTS,
    )

    assert {answer.status for answer in answers} == {202}
    (generation_id,) = {answer.body["id"] for answer in answers}
    fresh = [a for a in answers if a.headers.get("idempotency-replayed") != "true"]
    assert len(fresh) == 1

    with stack.client(key) as ada:
        assert ended(ada, generation_id)["status"] == "succeeded"
        assert ada.get("/v1/balance").json()["settled"] == 0
        replay = ada.post("/v1/generations", json=body, headers=key_header)
        assert replay.json()["id"] == generation_id
        assert replay.json()["status"] == "succeeded"
        assert replay.headers["Idempotency-Replayed"] == "true"

    # The price has risen, the balance is spent, the prompt is hidden, every process is new.
    with stack.client() as admin:
        changed = admin.patch(f"/v1/prompts/{prompt}", json={"token_cost": 50})
        assert changed.status_code == 200
        assert admin.delete(f"/v1/prompts/{prompt}").status_code == 204
    stack.kill_apis()
    stack.start_api(1)
    with stack.client(key) as ada:
        replay = ada.post("/v1/generations", json=body, headers=key_header)
        assert replay.json()["id"] == generation_id
        as_form = ada.post(
            "/v1/generations",
            data={"prompt_id": prompt, "count": "1", "aspect_ratio": "1:1"},
            files={"reference_image": ("a.jpg", picture, "image/jpeg")},
            headers=key_header,
        )
        assert as_form.json()["id"] == generation_id, as_form.text
        for other in ({**body, "count": 2}, {"prompt_id": prompt}):
            reused = ada.post("/v1/generations", json=other, headers=key_header)
            assert reused.status_code == 422
            assert reused.json()["code"] == "IDEMPOTENCY_KEY_REUSED"

    other_key = stack.open_account("bob", tokens=100)
    with stack.client(other_key) as bob:
        own = bob.post("/v1/generations", json={"prompt_id": "dreamy-forest"}, headers=key_header)
        assert own.status_code == 202
        assert own.json()["id"] != generation_id

    assert provider.count(content) == 1
    assert story(stack.database, generation_id) == ["generation_requested", "tokens_consumed"]
