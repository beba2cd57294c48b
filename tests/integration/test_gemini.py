"""The Gemini adapter against a real server that speaks Google's wire protocol and misbehaves."""

import asyncio
import hashlib
import io
import logging
import pickle
import socket
import subprocess
import sys
import time
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from gemini_stub import GeminiStub
from gemini_wire import RATIOS
from generation.gemini import ANSWER_BYTES_MAX, GeminiProvider
from generation.provider import ImageRequest, ProviderError, Reference
from ledger.facts import FailureReason

KEY = "AIzaSy-not-a-real-key-0123456789"
MODEL = "gemini-3.1-flash-image"
TEXT_MODEL = "gemini-3-flash"
STUB = Path(__file__).parents[1] / "support" / "gemini_stub.py"

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stub() -> Iterator[GeminiStub]:
    with GeminiStub() as running:
        yield running


@asynccontextmanager
async def provider(base_url: str, **more: Any) -> AsyncIterator[GeminiProvider]:
    settings: dict[str, Any] = {"api_key": KEY, "model": MODEL, "timeout_seconds": 20.0} | more
    made = GeminiProvider(base_url=base_url, **settings)
    try:
        yield made
    finally:
        await made.aclose()


def ask(content: str, **more: Any) -> ImageRequest:
    return ImageRequest(title="樱花", content=content, **({"aspect_ratio": "1:1"} | more))


async def failure(base_url: str, content: str, **more: Any) -> ProviderError:
    async with provider(base_url, **more) as gemini:
        with pytest.raises(ProviderError) as caught:
            await gemini.generate(ask(content))
    return caught.value


async def test_a_picture_comes_back_unchanged_with_what_the_provider_said(stub: GeminiStub) -> None:
    async with provider(stub.base_url) as gemini:
        drawn = await gemini.generate(ask("a lake at dawn"))
        other = await gemini.generate(ask("a lake at dawn"))
    assert [drawn.data, other.data] == list(stub.sent)
    assert drawn.data != other.data
    assert drawn.model == "gemini-3.1-flash-image-001"
    assert drawn.usage == {"prompt_tokens": 11, "candidates_tokens": 1290, "total_tokens": 1301}
    assert drawn.response_id
    assert drawn.response_id != other.response_id
    assert stub.count("a lake at dawn") == 2


@pytest.mark.parametrize("ratio", sorted(RATIOS))
async def test_the_aspect_ratio_is_asked_for(stub: GeminiStub, ratio: str) -> None:
    async with provider(stub.base_url) as gemini:
        drawn = await gemini.generate(ask("a lake", aspect_ratio=ratio))
    assert Image.open(io.BytesIO(drawn.data)).size == RATIOS[ratio]


async def test_the_request_is_what_google_documents(stub: GeminiStub) -> None:
    # Bytes whose base64 differs between the two alphabets.
    data = bytes(range(256)) * 4 + b"\xfb\xff\xfe"
    reference = Reference(data=data, mime_type="image/jpeg")
    async with provider(stub.base_url) as gemini:
        await gemini.generate(ask("a \u0000 湖 🌅", reference=reference, aspect_ratio="16:9"))
    assert stub.last_pictures == [data]
    assert stub.calls[0].pictures_sha256 == [hashlib.sha256(data).hexdigest()]
    blob = stub.last_body["contents"][0]["parts"][1]["inlineData"]
    assert stub.last_body == {
        "contents": [{"role": "user", "parts": [{"text": "a \u0000 湖 🌅"}, {"inlineData": blob}]}],
        "generationConfig": {
            "responseModalities": ["IMAGE"],
            "imageConfig": {"aspectRatio": "16:9"},
        },
    }
    assert stub.calls[0].model == MODEL
    assert stub.calls[0].headers["x-goog-api-key"] == KEY
    assert stub.calls[0].headers["accept-encoding"] == "identity"
    assert stub.calls[0].headers["x-server-timeout"] == "20"


async def test_the_environment_reroutes_nothing(
    stub: GeminiStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "GOOGLE_GENAI_USE_VERTEXAI": "true",
        "GOOGLE_GENAI_USE_ENTERPRISE": "true",
        "GOOGLE_API_KEY": "another-key",
        "GOOGLE_CLOUD_PROJECT": "another-project",
        "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9",
        "GOOGLE_GENAI_API_VERSION": "v9",
        "GOOGLE_GENAI_HTTP_CLIENT": "httpx2",
    }.items():
        monkeypatch.setenv(name, value)
    async with provider(stub.base_url) as gemini:
        await gemini.generate(ask("a lake"))
    assert stub.calls[0].headers["x-goog-api-key"] == KEY


@pytest.mark.parametrize("behaviour", ["thought", "urlsafe", "jpeg", "lying", "notimage"])
async def test_the_last_picture_is_taken_as_it_is(stub: GeminiStub, behaviour: str) -> None:
    stub.enqueue(behaviour)
    async with provider(stub.base_url) as gemini:
        drawn = await gemini.generate(ask("a lake"))
    sent = stub.sent[-1] if stub.sent else b"<!doctype html><title>Not a picture</title>"
    assert drawn.data == sent


FAILURES: list[tuple[str, FailureReason, bool, float | None]] = [
    ("429", "rate_limited", True, None),
    ("429:2s", "rate_limited", True, 2.0),
    ("429:0.250s", "rate_limited", True, 0.25),
    ("429:999999s", "rate_limited", True, 3600.0),
    ("429:soon", "rate_limited", True, None),
    ("429-header:7", "rate_limited", True, 7.0),
    ("429-header:Thu, 01 Jan 1970 00:00:00 GMT", "rate_limited", True, 0.0),
    ("429-header:tomorrow", "rate_limited", True, None),
    ("408", "timeout", True, None),
    ("500", "provider_unavailable", True, None),
    ("502", "provider_unavailable", True, None),
    ("503", "provider_unavailable", True, None),
    ("503-header:3", "provider_unavailable", True, 3.0),
    ("503-html", "provider_unavailable", True, None),
    ("504", "provider_unavailable", True, None),
    ("529", "provider_unavailable", True, None),
    ("400", "provider_unavailable", False, None),
    ("401", "provider_unavailable", False, None),
    ("403", "provider_unavailable", False, None),
    ("403-html", "provider_unavailable", False, None),
    ("404", "provider_unavailable", False, None),
    ("418", "provider_unavailable", False, None),
    ("201", "invalid_response", True, None),
    ("cut", "provider_unavailable", True, None),
    ("drop", "provider_unavailable", True, None),
    ("html", "invalid_response", True, None),
    ("empty", "invalid_response", True, None),
    ("badb64", "invalid_response", True, None),
    ("gzip", "invalid_response", False, None),
    ("text", "no_image", False, None),
    ("empty-data", "no_image", False, None),
    ("finish:NO_IMAGE", "no_image", False, None),
    ("finish:STOP", "no_image", False, None),
    ("finish:MAX_TOKENS", "no_image", False, None),
    ("finish:OTHER", "no_image", False, None),
    ("finish:SOMETHING_NEW", "no_image", False, None),
    ("finish:SAFETY", "blocked", False, None),
    ("finish:IMAGE_SAFETY", "blocked", False, None),
    ("finish:PROHIBITED_CONTENT", "blocked", False, None),
    ("finish:IMAGE_PROHIBITED_CONTENT", "blocked", False, None),
    ("finish:IMAGE_RECITATION", "blocked", False, None),
    ("finish:IMAGE_OTHER", "blocked", False, None),
    ("finish:RECITATION", "blocked", False, None),
    ("finish:BLOCKLIST", "blocked", False, None),
    ("finish:SPII", "blocked", False, None),
    ("block:SAFETY", "blocked", False, None),
    ("block:OTHER", "blocked", False, None),
    ("block:BLOCKLIST", "blocked", False, None),
    ("block:PROHIBITED_CONTENT", "blocked", False, None),
    ("block:IMAGE_SAFETY", "blocked", False, None),
    ("block:SOMETHING_NEW", "blocked", False, None),
]


@pytest.mark.parametrize(("behaviour", "reason", "retryable", "retry_after"), FAILURES)
async def test_each_failure_ends_as_documented_after_one_attempt(
    stub: GeminiStub,
    behaviour: str,
    reason: FailureReason,
    retryable: bool,  # noqa: FBT001 - a column of the table
    retry_after: float | None,
) -> None:
    error = await failure(stub.base_url, f"a lake [stub:{behaviour}]")
    assert (error.reason, error.retryable) == (reason, retryable), error
    assert error.retry_after_seconds == retry_after
    assert stub.count() == 1
    assert error.message.startswith((f"{MODEL}: ", "the ")), error
    assert "\n" not in error.message
    assert "<" not in error.message
    assert len(error.message) <= 300


async def test_retry_after_may_be_a_date(stub: GeminiStub) -> None:
    later = datetime.now(UTC) + timedelta(seconds=90)
    stub.enqueue(f"429-header:{format_datetime(later, usegmt=True)}")
    error = await failure(stub.base_url, "a lake")
    assert 60 < (error.retry_after_seconds or 0) <= 90


async def test_a_retired_model_tells_the_operator_which_setting(stub: GeminiStub) -> None:
    error = await failure(stub.base_url, "a lake", model="gemini-retired-image")
    assert (error.reason, error.retryable) == ("provider_unavailable", False)
    assert "probably retired; set GEMINI_MODEL" in error.message
    assert "gemini-retired-image" in error.message


@pytest.mark.parametrize("behaviour", ["hang", "trickle"])
async def test_silence_ends_at_the_time_out_and_hangs_up(stub: GeminiStub, behaviour: str) -> None:
    began = time.monotonic()
    error = await failure(stub.base_url, f"[stub:{behaviour}]", timeout_seconds=0.5)
    assert (error.reason, error.retryable) == ("timeout", True)
    assert time.monotonic() - began < 15  # and not the 20 s that others have here
    await until(lambda: stub.calls[0].ended != "open")


async def test_a_cancelled_call_is_cancelled_and_hangs_up(stub: GeminiStub) -> None:
    async with provider(stub.base_url) as gemini:
        call = asyncio.create_task(gemini.generate(ask("[stub:hang]")))
        await until(lambda: stub.count() == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: stub.calls[0].ended != "open")
        assert (await gemini.generate(ask("a lake"))).data == stub.sent[-1]


async def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = await failure(f"http://127.0.0.1:{bound.getsockname()[1]}", "a lake")
    assert (error.reason, error.retryable) == ("provider_unavailable", True)


async def test_a_server_without_tls_is_unavailable(stub: GeminiStub) -> None:
    error = await failure(stub.base_url.replace("http:", "https:"), "a lake")
    assert (error.reason, error.retryable) == ("provider_unavailable", True)
    assert "SSL" in error.message


async def test_redirects_are_refused_and_carry_the_key_nowhere(stub: GeminiStub) -> None:
    with GeminiStub() as elsewhere:
        target = f"{elsewhere.base_url}/v1beta/models/{MODEL}:generateContent"
        stub.enqueue(f"redirect:{target}")
        error = await failure(stub.base_url, "a lake")
        assert not elsewhere.calls
    assert (error.reason, error.retryable) == ("provider_unavailable", False)
    assert "GEMINI_BASE_URL" in error.message


async def test_a_huge_body_is_cut_off_while_it_arrives(stub: GeminiStub) -> None:
    tracemalloc.start()
    try:
        error = await failure(stub.base_url, "[stub:huge]")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (error.reason, error.retryable) == ("invalid_response", False)
    await until(lambda: stub.calls[0].ended != "open")
    # Beyond the limit only what the two sockets hold was sent.
    assert stub.calls[0].sent_bytes < ANSWER_BYTES_MAX + 16 * 1024 * 1024
    assert peak < 2 * ANSWER_BYTES_MAX


async def test_a_huge_declared_body_is_not_read_at_all(stub: GeminiStub) -> None:
    error = await failure(stub.base_url, "[stub:huge-declared]")
    assert (error.reason, error.retryable) == ("invalid_response", False)
    await until(lambda: stub.calls[0].ended != "open")
    assert stub.calls[0].sent_bytes < 16 * 1024 * 1024


async def test_an_answer_up_to_the_limit_is_read(stub: GeminiStub) -> None:
    async with provider(stub.base_url) as gemini:
        await gemini.generate(ask("measure"))
    size = stub.calls[0].sent_bytes
    async with provider(stub.base_url, answer_bytes_max=size + 64) as gemini:
        await gemini.generate(ask("fits"))
    error = await failure(stub.base_url, "too large", answer_bytes_max=size - 64)
    assert error.reason == "invalid_response"


@pytest.mark.parametrize(
    "behaviour", ["400", "403-html", "429:2s", "503", "cut", "hang", "html", "badb64", "echo"]
)
async def test_the_key_leaks_nowhere(
    stub: GeminiStub, behaviour: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with provider(stub.base_url, timeout_seconds=3.0) as gemini:
        try:
            await gemini.generate(ask(f"[stub:{behaviour}]"))
        except ProviderError as caught:
            error = caught
        assert KEY not in repr(gemini)
        with pytest.raises(TypeError):
            pickle.dumps(gemini)
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    shown = [str(error), repr(error), error.message, str(vars(error)), "".join(lines), caplog.text]
    assert KEY not in "\n".join(shown)
    assert KEY.encode() not in pickle.dumps(error)
    assert error.__context__ is None or not hasattr(error.__context__, "response")
    assert error.__cause__ is None
    assert "[key]" in error.message or behaviour != "echo"


async def test_an_unknown_exception_of_the_sdk_is_still_a_provider_error(
    stub: GeminiStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with provider(stub.base_url) as gemini:

        async def broken(**_: Any) -> None:
            raise LookupError(KEY)

        monkeypatch.setattr(gemini._client.aio.models, "generate_content", broken)
        with pytest.raises(ProviderError) as caught:
            await gemini.generate(ask("a lake"))
    assert (caught.value.reason, caught.value.retryable) == ("invalid_response", False)
    assert "LookupError" in caught.value.message
    assert KEY not in caught.value.message


async def test_enhancement_is_off_by_default(stub: GeminiStub) -> None:
    async with provider(stub.base_url) as gemini:
        await gemini.generate(ask("a lake"))
    assert [call.kind for call in stub.calls] == ["image"]


async def test_an_enhanced_prompt_is_drawn_instead(stub: GeminiStub) -> None:
    async with provider(stub.base_url, enhance_model=TEXT_MODEL) as gemini:
        await gemini.generate(ask("a lake"))
    assert [(call.kind, call.prompt) for call in stub.calls] == [
        ("text", "a lake"),
        ("image", "enriched: a lake"),
    ]
    assert int(stub.calls[0].headers["x-server-timeout"]) == 5


@pytest.mark.parametrize(
    "behaviour",
    ["503", "404", "429:2s", "hang", "cut", "html", "long", "blank", "short", "empty", "drop"],
)
async def test_the_plain_prompt_is_drawn_if_enhancement_fails(
    stub: GeminiStub, behaviour: str
) -> None:
    stub.enqueue_text(behaviour)
    settings = {"enhance_model": TEXT_MODEL, "timeout_seconds": 12.0}
    async with provider(stub.base_url, **settings) as gemini:
        drawn = await gemini.generate(ask("a lake"))
    assert drawn.data == stub.sent[-1]
    assert [(call.kind, call.prompt) for call in stub.calls] == [
        ("text", "a lake"),
        ("image", "a lake"),
    ]


async def test_closing_twice_is_safe_and_a_closed_provider_says_so(stub: GeminiStub) -> None:
    async with provider(stub.base_url) as gemini:
        await gemini.generate(ask("a lake"))
        await gemini.aclose()
    with pytest.raises(ProviderError) as caught:
        await gemini.generate(ask("a lake"))
    assert caught.value.reason == "invalid_response"
    await until(lambda: not stub._connections)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("api_key", ""),
        ("api_key", "klé"),
        ("api_key", "two words"),
        ("base_url", "ftp://127.0.0.1"),
        ("base_url", "127.0.0.1:8080"),
        ("base_url", "http://user:pass@127.0.0.1"),
        ("model", "../files"),
        ("model", "a?b"),
        ("enhance_model", "a b"),
    ],
)
async def test_a_setting_that_cannot_work_is_named_at_once(setting: str, value: str) -> None:
    settings: dict[str, Any] = {
        "api_key": KEY,
        "base_url": "http://127.0.0.1:9",
        "model": MODEL,
        "timeout_seconds": 1.0,
    } | {setting: value}
    with pytest.raises(ValueError, match=f"GEMINI_{setting.upper()}") as caught:
        GeminiProvider(**settings)
    assert "klé" not in str(caught.value)
    assert "pass" not in str(caught.value)


def test_importing_the_module_loads_no_sdk() -> None:
    code = "import sys, generation.gemini; sys.exit('google.genai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


async def test_the_stub_runs_as_a_process_and_tells_its_calls() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(STUB), "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            base_url = (await process.stdout.readline()).decode().split()[-1]
        async with provider(base_url) as gemini:
            with pytest.raises(ProviderError):
                await gemini.generate(ask("once [stub:503-then-ok]"))
            await gemini.generate(ask("once [stub:503-then-ok]"))
        async with httpx2.AsyncClient() as client:
            told = (await client.get(f"{base_url}/__calls__")).json()
    finally:
        process.terminate()
        await process.wait()
    assert told["counts"] == {"once [stub:503-then-ok]": 2}
    assert [call["behaviour"] for call in told["calls"]] == ["503", "ok"]


async def test_the_stub_refuses_what_google_refuses(stub: GeminiStub) -> None:
    async def post(headers: dict[str, str], body: Any) -> int:
        url = f"{stub.base_url}/v1beta/models/{MODEL}:generateContent"
        async with httpx2.AsyncClient() as client:
            return (await client.post(url, json=body, headers=headers)).status_code

    key = {"x-goog-api-key": KEY}
    good = {"parts": [{"text": "a lake"}]}
    blob = {"mimeType": "image/png", "data": "***"}
    image = {"responseModalities": ["IMAGE"]}
    bad_ratio = image | {"imageConfig": {"aspectRatio": "7:5"}}
    bad_name = image | {"imageConfig": {"outputMimeType": "image/png"}}
    bad_blob = {"contents": [{"parts": [{"inlineData": blob}]}], "generationConfig": image}
    assert await post({}, {"contents": [good], "generationConfig": image}) == 403
    assert await post(key, {"contents": [good]}) == 400
    assert await post(key, {"contents": [good], "generationConfig": bad_ratio}) == 400
    assert await post(key, {"contents": [good], "generationConfig": bad_name}) == 400
    assert await post(key, bad_blob) == 400


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the stub lives on another thread
            await asyncio.sleep(0.01)
