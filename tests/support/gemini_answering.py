"""One answer of the Gemini stub, in the manner that a behaviour names."""

import asyncio
import gzip
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from gemini_wire import Asked, Refusal, answer, inline, picture, refusal

HUGE_BYTES = 200 * 1024 * 1024


@dataclass
class Call:
    """One request for content; `sent_bytes` of answer body had gone out when it ended."""

    model: str
    kind: str
    prompt: str
    behaviour: str
    headers: dict[str, str]
    pictures_sha256: list[str] = field(default_factory=list)
    at: float = field(default_factory=time.time)
    sent_bytes: int = 0
    ended: str = "open"


class Answering:
    """One answer, in the manner that a behaviour names."""

    def __init__(
        self,
        asked: Asked,
        call: Call,
        sent: deque[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._asked, self._call, self._sent = asked, call, sent
        self._reader, self._writer = reader, writer

    async def answer(self, behaviour: str) -> None:
        name, _, argument = behaviour.partition(":")
        if name == "echo":
            key = self._call.headers["x-goog-api-key"]
            await respond(self._writer, 400, refusal(400, f"API key\nnot valid: {key}"))
        elif name[:3].isdigit():
            await self._status(int(name[:3]), name[3:], argument)
        elif name in {"cut", "drop", "hang", "trickle", "huge", "huge-declared", "gzip"}:
            await getattr(self, "_" + name.replace("-", "_"))()
            self._call.ended = name
        elif name == "html":
            await self._send(200, b"<!doctype html><title>Welcome</title>", "text/html")
        elif name == "redirect":
            await self._send(302, b"", "text/plain", [f"Location: {argument}"])
        elif self._asked.kind == "text":
            await self._json(self._text(name))
        else:
            await self._json(self._image(name, argument))

    async def _status(self, code: int, variant: str, argument: str) -> None:
        if variant == "-html":
            page = "<!doctype html><title>Störung</title>".encode("latin-1")
            await self._send(code, page, "text/html")
            return
        more = [f"Retry-After: {argument}"] if variant == "-header" else []
        delay = argument if argument and not variant else None
        body = refusal(code, f"The stub says {code}.", retry_delay=delay)
        await self._send(code, json.dumps(body).encode(), "application/json", more)

    def _text(self, name: str) -> Any:
        if name == "empty":
            return {}
        texts = {"long": "word " * 10_000, "blank": " \n", "short": "a prompt cut"}
        said = texts.get(name, f"enriched: {self._asked.prompt}")
        finish = "MAX_TOKENS" if name == "short" else "STOP"
        return answer(self._asked.model, [{"text": said}], finish)

    def _image(self, name: str, argument: str) -> Any:
        model = self._asked.model
        match name:
            case "block":
                feedback = {"blockReason": argument}
                made = {"promptFeedback": feedback, "modelVersion": model, "responseId": "blocked"}
            case "finish":
                made = answer(model, [], argument)
            case "empty":
                made = {}
            case "text":
                made = answer(model, [{"text": "I would rather describe it."}])
            case "badb64":
                made = answer(model, [{"inlineData": {"mimeType": "image/png", "data": "@@ no"}}])
            case "notimage":
                made = answer(model, [inline(b"<!doctype html><title>Not a picture</title>")])
            case "empty-data":
                made = answer(model, [inline(b"")])
            case _:
                made = answer(model, self._drawn(name))
        return made

    def _drawn(self, name: str) -> list[Any]:
        if name not in {"ok", "jpeg", "lying", "thought", "urlsafe"}:
            raise Refusal(400, f"The stub knows no behaviour {name}.")
        ratio = self._asked.ratio
        data = picture(ratio, "JPEG" if name in {"jpeg", "lying"} else "PNG")
        self._sent.append(data)
        part = inline(data, "image/jpeg" if name == "jpeg" else "image/png")
        if name == "urlsafe":
            blob = part["inlineData"]
            blob["data"] = blob["data"].replace("+", "-").replace("/", "_")
        if name != "thought":
            return [part]
        thoughts = [{"text": "Let me think.", "thought": True}, inline(picture(ratio))]
        return [*thoughts, {"text": "Here it is."}, part, inline(picture(ratio), thought=True)]

    async def _json(self, body: Any) -> None:
        await self._send(200, json.dumps(body).encode(), "application/json; charset=UTF-8")

    async def _send(
        self, code: int, body: bytes, mime_type: str, more: list[str] | None = None
    ) -> None:
        # Counted before: whoever has the answer may look at once.
        self._call.sent_bytes += len(body)
        self._writer.write(head(code, mime_type, len(body), more or []))
        self._writer.write(body)
        await self._writer.drain()

    async def _cut(self) -> None:
        body = json.dumps(self._image("ok", "")).encode()
        self._writer.write(head(200, "application/json", len(body), []))
        self._writer.write(body[: len(body) // 2])
        await self._writer.drain()
        self._writer.close()
        await self._writer.wait_closed()

    async def _drop(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def _hang(self) -> None:
        # Ends when the caller hangs up, which is how a test sees that it did.
        await self._reader.read(1)

    async def _trickle(self) -> None:
        self._writer.write(head(200, "application/json", None, []))
        while True:
            await self._chunk(b" ")
            await asyncio.sleep(0.02)

    async def _huge(self) -> None:
        self._writer.write(head(200, "application/json", None, []))
        opening = b'{"candidates":[{"content":{"parts":[{"inlineData":{"data":"'
        await self._chunk(opening)
        while self._call.sent_bytes < HUGE_BYTES:
            await self._chunk(b"A" * 65536)

    async def _huge_declared(self) -> None:
        self._writer.write(head(200, "application/json", HUGE_BYTES, []))
        while self._call.sent_bytes < HUGE_BYTES:
            await self._body(b" " * 65536)

    async def _gzip(self) -> None:
        body = gzip.compress(b" " * HUGE_BYTES, 1)
        more = ["Content-Encoding: gzip"]
        await self._send(200, body, "application/json", more)

    async def _chunk(self, data: bytes) -> None:
        await self._body(data, b"%x\r\n%b\r\n" % (len(data), data))

    async def _body(self, data: bytes, framed: bytes | None = None) -> None:
        self._writer.write(framed or data)
        await self._writer.drain()
        self._call.sent_bytes += len(data)


def head(code: int, mime_type: str, length: int | None, more: list[str]) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"HTTP/1.1 {code} Stub", f"Content-Type: {mime_type}", size, *more]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def respond(writer: asyncio.StreamWriter, code: int, body: Any) -> None:
    raw = json.dumps(body).encode()
    writer.write(head(code, "application/json", len(raw), []) + raw)
    await writer.drain()
