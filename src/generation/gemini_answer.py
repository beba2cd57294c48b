"""What a 200 answer of the Gemini API says: a picture, a text, a block, or nothing of use."""

import binascii
import re
from typing import Any

import msgspec

from generation.provider import ProviderError, ProviderImage

BLOCKING_FINISHES = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "IMAGE_OTHER",
        "ESCALATION",
        "MODEL_ARMOR",
    }
)
"""Finish reasons by which the provider withholds the picture; final, never asked again."""

_USAGE_NAMES = {
    "promptTokenCount": "prompt_tokens",
    "candidatesTokenCount": "candidates_tokens",
    "thoughtsTokenCount": "thoughts_tokens",
    "totalTokenCount": "total_tokens",
}
_USAGE_MAX = 1_000_000_000
_STANDARD_ALPHABET = str.maketrans("-_", "+/")


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class _Part(msgspec.Struct, rename="camel"):
    thought: bool = False
    text: str | None = None
    inline_data: _Blob | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


# Decoded here and not by the SDK: its enums warn about each reason they do not know, its JSON
# takes the event loop many times longer, and its base64 errors quote the data.
class _Answer(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: Any = None
    model_version: Any = None
    response_id: Any = None


def read_image(body: str, *, model: str) -> ProviderImage:
    """Find the last picture that is no thought, unverified; `model` is for an absent version.

    Raises `ProviderError`: `blocked` for a withheld picture, `no_image` for an answer without one
    whatever its finish reason, both final since the model has answered; `invalid_response`,
    retryable, for what is no answer of this API.
    """
    answer = _decode(body)
    if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason:
        raise _final("blocked", "the prompt was blocked", answer.prompt_feedback.block_reason)
    if not answer.candidates:
        raise _junk("the answer holds no candidate")
    candidate = answer.candidates[0]
    finish = (candidate.finish_reason or "").upper()
    if finish in BLOCKING_FINISHES:
        raise _final("blocked", "the picture was withheld", finish)
    blobs = [
        part.inline_data
        for part in _parts(candidate)
        if part.inline_data is not None
        and part.inline_data.data
        and part.inline_data.mime_type.lower().startswith(("image/", "application/octet-stream"))
    ]
    if not blobs:
        raise _final("no_image", "the answer holds no picture", finish or "no finish reason")
    return ProviderImage(
        data=_base64(blobs[-1].data),
        model=_label(answer.model_version) or model,
        response_id=_label(answer.response_id),
        usage=_usage(answer.usage_metadata),
    )


def read_text(body: str) -> str:
    """Find the text of a complete answer, trimmed; empty if there is none or it was cut short."""
    answer = _decode(body)
    if not answer.candidates or answer.candidates[0].finish_reason != "STOP":
        return ""
    return "".join(p.text or "" for p in _parts(answer.candidates[0])).strip()


def _parts(candidate: _Candidate) -> list[_Part]:
    content = candidate.content or _Content()
    return [part for part in content.parts or [] if not part.thought]


def _decode(body: str) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (ValueError, RecursionError):
        raise _junk("the answer is not the JSON of this API") from None


def _base64(text: str) -> bytes:
    try:
        # Each copy of megabytes is time that the event loop has for nobody else.
        if "-" in text or "_" in text:
            text = text.translate(_STANDARD_ALPHABET)
        if len(text) % 4:
            text = text.rstrip("=")
            text += "=" * (-len(text) % 4)
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise _junk("the picture is not base64") from None


def _usage(metadata: object) -> dict[str, int]:
    counts = metadata if isinstance(metadata, dict) else {}
    return {
        name: count
        for wire, name in _USAGE_NAMES.items()
        if type(count := counts.get(wire)) is int and 0 <= count <= _USAGE_MAX
    }


def _label(value: object) -> str | None:
    # Fit for the log: short, visible ASCII.
    return value if isinstance(value, str) and re.fullmatch(r"[!-~]{1,200}", value) else None


def _final(reason: Any, what: str, said: str) -> ProviderError:
    shown = said if re.fullmatch(r"[A-Za-z0-9_ ]{1,64}", said) else "an unreadable reason"
    return ProviderError(reason, retryable=False, message=f"{what}: {shown}")


def _junk(what: str) -> ProviderError:
    return ProviderError("invalid_response", retryable=True, message=what)
