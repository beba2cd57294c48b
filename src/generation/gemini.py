"""The Gemini API behind the provider port, through google-genai."""

import asyncio
import math
import re
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import structlog

from generation.admission import admitted
from generation.gemini_answer import read_image, read_text
from generation.provider import ImageRequest, ProviderError, ProviderImage
from generation.room import Part

if TYPE_CHECKING:
    from google.genai import types

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com/"
DEFAULT_API_VERSION = "v1beta"
ANSWER_BYTES_MAX = 64 * 1024 * 1024
ENHANCE_TIMEOUT_SECONDS = 15.0
ENHANCE_OUTPUT_TOKENS = 2048
ENHANCE_CHARS_MAX = 4000
ENHANCE_INSTRUCTION = (
    "Rewrite the request as one vivid prompt for an image model, in its own language and at most"
    " 120 words. Keep its subject, style and names. Answer with the prompt alone."
)

_log = structlog.get_logger(__name__)


class GeminiProvider:
    """One attempt a call, ended within `timeout_seconds`, enhancement included.

    The answer's body is cut off at `answer_bytes_max` while it arrives. Whether the bytes are a
    picture is for the caller to check. Build it once, at start-up: that blocks for a moment.
    """

    name = "gemini"

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None,
        model: str,
        timeout_seconds: float,
        enhance_model: str | None = None,
        api_version: str = DEFAULT_API_VERSION,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> None:
        """Refuse, by `ValueError`, a setting that cannot be used: named, without its secret."""
        base_url = base_url or DEFAULT_BASE_URL
        _check(api_key, base_url, [model] + ([enhance_model] if enhance_model else []))
        # The SDK and its HTTP client take about a second to import: only who draws pays for it.
        from google import genai  # noqa: PLC0415
        from google.genai import types  # noqa: PLC0415

        from generation.gemini_errors import failure_from  # noqa: PLC0415
        from generation.gemini_http import open_client  # noqa: PLC0415

        self._secret = api_key
        self._model = model
        self._enhance_model = enhance_model
        self._timeout_seconds = timeout_seconds
        self._failure_from = failure_from
        self._http = open_client(answer_bytes_max=answer_bytes_max)
        # All explicit, since the environment reroutes whatever is left out.
        self._client = genai.Client(
            vertexai=False,
            api_key=api_key,
            http_options=types.HttpOptions(
                base_url=base_url, api_version=api_version, httpx_async_client=self._http
            ),
        )

    def __repr__(self) -> str:
        return f"GeminiProvider(model={self._model!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a provider holds a key and connections: it cannot be pickled")

    async def generate(self, request: ImageRequest, part: Part | None = None) -> ProviderImage:
        """Draw one image. Raises `ProviderError` and nothing else.

        The time for which the answer waits for its part of the room is not the provider's.
        """
        ends_at = asyncio.get_running_loop().time() + self._timeout_seconds
        prompt = await self._enhanced(request.content)
        parts: list[types.PartUnionDict] = [{"text": prompt}]
        if request.reference is not None:
            blob = request.reference
            parts.append({"inline_data": {"data": blob.data, "mime_type": blob.mime_type}})
        body = await self._call(
            self._model,
            parts,
            {
                "response_modalities": ["IMAGE"],
                "image_config": {"aspect_ratio": request.aspect_ratio},
            },
            ends_at - asyncio.get_running_loop().time(),
            part,
        )
        return read_image(body, model=self._model)

    async def aclose(self) -> None:
        """Give back connections; safe to call twice."""
        await self._http.aclose()
        await self._client.aio.aclose()
        self._client.close()

    async def _enhanced(self, prompt: str) -> str:
        if self._enhance_model is None:
            return prompt
        try:
            body = await self._call(
                self._enhance_model,
                [{"text": prompt}],
                {
                    "system_instruction": ENHANCE_INSTRUCTION,
                    "max_output_tokens": ENHANCE_OUTPUT_TOKENS,
                },
                min(ENHANCE_TIMEOUT_SECONDS, self._timeout_seconds / 4),
            )
            enhanced = read_text(body)
        except ProviderError as error:
            _log.warning("prompt_not_enhanced", reason=error.reason, message=error.message)
            return prompt
        if not 0 < len(enhanced) <= ENHANCE_CHARS_MAX:
            _log.warning("prompt_not_enhanced", reason="unusable", chars=len(enhanced))
            return prompt
        return enhanced

    async def _call(
        self,
        model: str,
        parts: "list[types.PartUnionDict]",
        config: "types.GenerateContentConfigDict",
        timeout_seconds: float,
        part: Part | None = None,
    ) -> str:
        config["automatic_function_calling"] = {"disable": True}
        # A continuation is another call, paid for like the first.
        config["automatic_continuation"] = False
        config["should_return_http_response"] = True
        config["http_options"] = {"timeout": max(1, math.ceil(timeout_seconds * 1000))}
        try:
            async with asyncio.timeout(timeout_seconds) as limit:
                with admitted(part, limit):
                    answer = await self._client.aio.models.generate_content(
                        model=model, contents=parts, config=config
                    )
        except Exception as error:  # noqa: BLE001 - the SDK promises no closed list
            failure = self._failure_from(error, secret=self._secret, model=model)
        else:
            raw = answer.sdk_http_response
            return (raw.body if raw else None) or ""
        # Raised out here so that not even __context__ leads to the request and its key.
        raise failure


def _check(api_key: str, base_url: str, models: list[str]) -> None:
    if not re.fullmatch(r"[!-~]{1,512}", api_key):
        raise ValueError("GEMINI_API_KEY must be 1 to 512 visible ASCII characters")
    for model in models:
        if not re.fullmatch(r"(models/)?[A-Za-z0-9._-]{1,128}", model):
            raise ValueError(
                f"GEMINI_MODEL or GEMINI_ENHANCE_MODEL is no model id: {model[:128]!r}"
            )
    url = urlsplit(base_url)
    if url.scheme not in {"http", "https"} or not url.hostname or url.username or url.query:
        raise ValueError("GEMINI_BASE_URL must be an http or https address without credentials")
