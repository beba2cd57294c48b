"""Whatever the provider answers, a failure costs nothing and is tried again only where it helps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import databases
from gemini_stub import GeminiStub
from stack import Stack, ended

CASES = [
    # what the provider does, the reason it ends with (None: it succeeds), calls made
    ("[stub:429:1s]", "rate_limited", 2),
    ("[stub:429:1s-then-ok]", None, 2),
    ("[stub:500]", "provider_unavailable", 2),
    ("[stub:503]", "provider_unavailable", 2),
    ("[stub:503-then-ok]", None, 2),
    ("[stub:hang]", "timeout", 2),
    ("[stub:cut]", "provider_unavailable", 2),
    ("[stub:html]", "invalid_response", 2),
    ("[stub:badb64]", "invalid_response", 2),
    ("[stub:notimage]", "invalid_response", 2),
    ("[stub:huge]", "invalid_response", 1),
    ("[stub:400]", "provider_unavailable", 1),
    ("[stub:text]", "no_image", 1),
    ("[stub:block:SAFETY]", "blocked", 1),
    ("[stub:block:PROHIBITED_CONTENT]", "blocked", 1),
    ("[stub:finish:SAFETY]", "blocked", 1),
    ("[stub:finish:IMAGE_SAFETY]", "blocked", 1),
    ("[stub:finish:PROHIBITED_CONTENT]", "blocked", 1),
    ("[stub:finish:IMAGE_PROHIBITED_CONTENT]", "blocked", 1),
    ("[stub:finish:IMAGE_RECITATION]", "blocked", 1),
    ("[stub:finish:IMAGE_OTHER]", "blocked", 1),
    ("[stub:finish:NO_IMAGE]", "no_image", 1),
    ("[stub:finish:SOMETHING_NEW]", "no_image", 1),
    ("[stub:lying]", None, 1),
]


@pytest.fixture
def provider() -> Iterator[GeminiStub]:
    with GeminiStub() as running:
        yield running


@pytest.fixture
def stack(database: databases.Database, tmp_path: Path, provider: GeminiStub) -> Iterator[Stack]:
    settings = {
        "GEMINI_API_KEY": "test-key",
        "GEMINI_BASE_URL": provider.base_url,
        "GEMINI_TIMEOUT_SECONDS": "10",
        "GENERATION_ATTEMPTS_MAX": "2",
    }
    with Stack(database, tmp_path, settings) as running:
        running.start_api()
        running.start_projector()
        running.start_worker()
        yield running


def test_no_charge_on_failure(stack: Stack, provider: GeminiStub) -> None:
    key = stack.open_account("ada", tokens=1_000)
    with stack.client(key) as ada:
        asked = {}
        for behaviour, _, _ in CASES:
            prompt = stack.add_prompt(f"a forest {behaviour}")
            answer = ada.post("/v1/generations", json={"prompt_id": prompt})
            assert answer.status_code == 202
            asked[behaviour] = answer.json()["id"]

        found = {}
        for behaviour, reason, _ in CASES:
            generation = ended(ada, asked[behaviour], seconds=120)
            error = generation["error"]
            found[behaviour] = (
                error["reason"] if error else None,
                provider.count(f"a forest {behaviour}"),
            )
            assert generation["cost"] == {"held": 0, "charged": 0 if reason else 5}
            if error:
                assert error["code"] == "GENERATION_FAILED"
                retryable = error["reason"] not in {"blocked", "no_image"}
                assert error["retryable"] is retryable, behaviour
                assert "test-key" not in error["message"]
        assert found == {behaviour: (reason, calls) for behaviour, reason, calls in CASES}

        succeeded = sum(reason is None for _, reason, _ in CASES)
        balance = ada.get("/v1/balance").json()
        assert (balance["available"], balance["held"]) == (1_000 - 5 * succeeded, 0)
        (lying,) = ada.get(f"/v1/generations/{asked['[stub:lying]']}").json()["images"]
        assert lying["mime_type"] == "image/jpeg"  # what the bytes are, not what was said
