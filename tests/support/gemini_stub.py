"""A server that speaks Gemini's wire protocol, and misbehaves on request.

A behaviour is queued (`enqueue`, or `POST /__queue__` with a JSON list) or named in the prompt,
`[stub:503]`; the queue wins. Image calls know:

    ok  jpeg  thought  urlsafe          pictures: PNG, JPEG, after thoughts, in URL-safe base64
    503  429:2s  429-header:7           any status; RetryInfo of 2s; Retry-After: 7
    503-html  echo                      any status with an HTML body; 400 that quotes the key
    block:SAFETY  finish:IMAGE_SAFETY   a blocked prompt; any finish reason without a picture
    text  empty  html  badb64           200 without a picture, or with junk
    lying  notimage  empty-data         says image/png: JPEG bytes, HTML bytes, no bytes
    huge  huge-declared  gzip           200 MB of body, chunked or announced; a compressed answer
    cut  drop  hang  trickle            body cut in half; closed unanswered; silence; endless spaces
    redirect:URL                        302
    503-then-ok                         any of these at a prompt's first call, a picture afterwards
    delay:500                           milliseconds; goes with another: [stub:delay:500][stub:503]

Text calls answer `enriched: PROMPT` unless `[stub:enhance:…]` or `enqueue_text` says one of
status, hang, cut, drop, html, empty, long, blank, short (MAX_TOKENS). Run as a process, `python
gemini_stub.py --port N` prints its address (0: any port); `GET /__calls__` lists the calls,
`DELETE /__calls__` forgets them. Models with `retired` in their id are unknown, those without
`image` write text.
"""

import argparse
import asyncio
import contextlib
import json
import re
import threading
from collections import Counter, deque
from dataclasses import asdict
from hashlib import sha256
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from gemini_answering import Answering, Call, respond
from gemini_wire import Asked, Refusal

BODY_BYTES_MAX = 64 * 1024 * 1024
CALLS_MAX = 10_000
_MARKER = re.compile(r"\[stub:([^\]]{1,200})\]")


class GeminiStub:
    """The server on a thread of its own: `with GeminiStub() as stub: … stub.base_url`."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._queues: dict[str, deque[str]] = {"image": deque(), "text": deque()}
        self._seen: Counter[str] = Counter()
        self._connections: set[asyncio.Task[Any]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gemini-stub", daemon=True)
        self.calls: deque[Call] = deque(maxlen=CALLS_MAX)
        self.last_body: dict[str, Any] = {}
        self.last_pictures: list[bytes] = []
        self.sent: deque[bytes] = deque(maxlen=100)
        self.base_url = ""

    def enqueue(self, *behaviours: str) -> None:
        self._queues["image"].extend(behaviours)

    def enqueue_text(self, *behaviours: str) -> None:
        self._queues["text"].extend(behaviours)

    def count(self, text: str = "", kind: str = "image") -> int:
        """How many calls of that kind had `text` in their prompt."""
        return sum(call.kind == kind and text in call.prompt for call in list(self.calls))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self, *, announce: bool = False) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self._port, backlog=1024)
        port = server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}"
        self._ready.set()
        if announce:
            print(f"listening on {self.base_url}", flush=True)
        await self._stopping.wait()
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        opening = await reader.readexactly(1)
        if opening == b"\x16":  # a TLS greeting: this is a plain server, and says so as one
            writer.write(b"HTTP/1.1 400 Plain\r\n\r\n")
            await writer.drain()
            return False
        head = (opening + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.lower(): value.strip() for name, value in pairs}
        length = int(headers.get("content-length", "0"))
        assert length <= BODY_BYTES_MAX
        raw = await reader.readexactly(length)
        path = urlsplit(target).path
        if path.startswith("/__"):
            await respond(writer, 200, self._control(method, path, raw))
            return True
        try:
            asked = Asked(path, headers, raw)
        except Refusal as error:
            self._record(path, "refused", "", f"{error.code}", headers)
            await respond(writer, error.code, error.body)
            return True
        behaviour, delay_seconds = self._choose(asked)
        call = self._record(asked.model, asked.kind, asked.prompt, behaviour, headers)
        call.pictures_sha256 = [sha256(data).hexdigest() for data in asked.pictures]
        self.last_body, self.last_pictures = asked.body, asked.pictures
        try:
            await asyncio.sleep(delay_seconds)
            await Answering(asked, call, self.sent, reader, writer).answer(behaviour)
        except Refusal as error:
            await respond(writer, error.code, error.body)
        except ConnectionError:
            call.ended = "hung up"
            raise
        except asyncio.CancelledError:
            call.ended = "stopped"
            raise
        call.ended = call.ended if call.ended != "open" else "answered"
        return call.ended == "answered"

    def _control(self, method: str, path: str, raw: bytes) -> Any:
        if path == "/__queue__":
            self.enqueue(*json.loads(raw))
        elif path == "/__queue_text__":
            self.enqueue_text(*json.loads(raw))
        elif method == "DELETE":
            self.calls.clear()
        counts = Counter(call.prompt for call in self.calls if call.kind == "image")
        return {"calls": [asdict(call) for call in self.calls], "counts": counts}

    def _record(
        self, model: str, kind: str, prompt: str, behaviour: str, headers: dict[str, str]
    ) -> Call:
        call = Call(model, kind, prompt, behaviour, headers)
        self.calls.append(call)
        return call

    def _choose(self, asked: Asked) -> tuple[str, float]:
        markers = _MARKER.findall(asked.prompt)
        delays = [float(m[6:]) / 1000 for m in markers if m.startswith("delay:")]
        prefix = "enhance:" if asked.kind == "text" else ""
        named = [m for m in markers if m.startswith("enhance:") == (asked.kind == "text")]
        named = [m.removeprefix(prefix) for m in named if not m.startswith("delay:")]
        queue = self._queues[asked.kind]
        chosen = queue.popleft() if queue else (named or ["ok"])[-1]
        key = f"{asked.kind}:{asked.prompt}"
        self._seen[key] += 1
        if chosen.endswith("-then-ok"):
            chosen = chosen.removesuffix("-then-ok") if self._seen[key] == 1 else "ok"
        return chosen, sum(delays) if asked.kind == "image" else 0.0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(GeminiStub(parser.parse_args().port).serve(announce=True))
