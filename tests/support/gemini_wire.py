"""Gemini's wire protocol as Google's server sees it: what it refuses, what it answers with."""

import base64
import binascii
import io
import json
import re
import secrets
from typing import Any

from PIL import Image

RATIOS = {
    "1:1": (256, 256),
    "3:2": (264, 176),
    "2:3": (176, 264),
    "4:3": (256, 192),
    "3:4": (192, 256),
    "16:9": (256, 144),
    "9:16": (144, 256),
}
_PATH = re.compile(r"/(v1|v1beta)/models/([A-Za-z0-9._-]+):generateContent")
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    def __init__(self, code: int, message: str, **more: Any) -> None:
        super().__init__(code, message)
        self.code = code
        self.body = refusal(code, message, **more)


class Asked:
    """A request that Google would accept: `kind` is image or text."""

    def __init__(self, path: str, headers: dict[str, str], raw: bytes) -> None:
        if not headers.get("x-goog-api-key"):
            raise Refusal(403, "Method doesn't allow unregistered callers. Use API Key.")
        found = _PATH.fullmatch(path)
        if found is None:
            raise Refusal(404, f"Unknown path {path[:100]}")
        self.model = found[2]
        if "retired" in self.model:
            raise Refusal(404, f"models/{self.model} is not found for API version {found[1]}")
        try:
            self.body: dict[str, Any] = json.loads(raw)
            parts = [part for content in self.body["contents"] for part in content["parts"]]
        except (ValueError, KeyError, TypeError):
            raise Refusal(400, "Invalid JSON payload received.") from None
        self.prompt = "".join(part.get("text", "") for part in parts)
        self.pictures = [_picture(part["inlineData"]) for part in parts if "inlineData" in part]
        config = self.body.get("generationConfig", {})
        self.kind = "image" if "image" in self.model else "text"
        if self.kind == "image":
            if config.get("responseModalities") != ["IMAGE"]:
                raise Refusal(400, "The model does not support the requested response modalities")
            picture = config.get("imageConfig", {})
            if set(picture) - {"aspectRatio", "imageSize"}:
                raise Refusal(400, f"Unknown name in image_config: {sorted(picture)}")
            self.ratio = picture.get("aspectRatio", "1:1")
            if self.ratio not in RATIOS:
                raise Refusal(400, f"Unsupported aspect ratio {self.ratio}")


def _picture(blob: dict[str, str]) -> bytes:
    if blob.get("mimeType", blob.get("mime_type")) not in {"image/png", "image/jpeg", "image/webp"}:
        raise Refusal(400, "Unsupported MIME type")
    data = blob.get("data", "")
    try:
        return binascii.a2b_base64(data.replace("-", "+").replace("_", "/"), strict_mode=True)
    except ValueError:
        raise Refusal(400, "Base64 decoding failed") from None


def picture(ratio: str, form: str = "PNG") -> bytes:
    """A real picture, another one each time."""
    colour = tuple(secrets.token_bytes(3))
    made = Image.new("RGB", RATIOS[ratio], colour)
    made.putpixel((0, 0), tuple(secrets.token_bytes(3)))
    out = io.BytesIO()
    made.save(out, form)
    return out.getvalue()


def inline(data: bytes, mime_type: str = "image/png", **more: Any) -> dict[str, Any]:
    blob = {"mimeType": mime_type, "data": base64.b64encode(data).decode()}
    return {"inlineData": blob, **more}


def answer(model: str, parts: list[Any], finish: str = "STOP") -> dict[str, Any]:
    candidate: dict[str, Any] = {"finishReason": finish, "index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": parts}
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 11,
            "candidatesTokenCount": 1290,
            "totalTokenCount": 1301,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 11}],
        },
        "modelVersion": f"{model}-001",
        "responseId": secrets.token_urlsafe(16),
    }


def refusal(code: int, message: str, retry_delay: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {
        "code": code,
        "message": message,
        "status": _STATUS_NAMES.get(code, "UNKNOWN"),
    }
    if retry_delay is not None:
        error["details"] = [
            {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_delay},
        ]
    return {"error": error}
