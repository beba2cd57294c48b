"""A server that answers Gemini's image calls with one picture, after a while: what a worker calls.

`python -m api.bench.gemini_server BYTES SECONDS SPREAD` prints its address. Each answer comes after
SECONDS ± SPREAD, evenly spread. `GET /` tells how many calls wait for theirs and how many had it.
"""

import asyncio
import base64
import io
import json
import random
import re
import sys
from typing import cast

import uvloop
from PIL import Image

from api.launch import tether

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SMALL_BYTES_MAX = 200_000
"""Up to here it is a JPEG with sides of 512, above it a PNG with sides that fit."""


def picture(size: int) -> tuple[bytes, str]:
    """A picture that can be decoded, of about `size` bytes, and its type."""
    chance = random.Random(size)  # noqa: S311 - noise, and the same each time
    if size > SMALL_BYTES_MAX:
        side = int((size / 3) ** 0.5)  # of noise, which no compression makes smaller
        noise = Image.frombytes("RGB", (side, side), chance.randbytes(3 * side * side))
        return _encoded(noise, "PNG"), "image/png"
    coarse = Image.frombytes("RGB", (64, 64), chance.randbytes(3 * 64 * 64)).resize((512, 512))
    tries = [_encoded(coarse, "JPEG", quality=quality) for quality in range(5, 96, 5)]
    return min(tries, key=lambda made: abs(len(made) - size)), "image/jpeg"


def _encoded(image: Image.Image, form: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def answer(size: int) -> bytes:
    """The whole answer to a call, as bytes on the wire."""
    data, mime_type = picture(size)
    blob = {"mimeType": mime_type, "data": base64.b64encode(data).decode()}
    content = {"role": "model", "parts": [{"inlineData": blob}]}
    tokens = {"promptTokenCount": 20, "candidatesTokenCount": 1290, "totalTokenCount": 1310}
    return _response(
        {
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
            "usageMetadata": tokens,
            "modelVersion": "bench-image-1",
            "responseId": "bench",
        }
    )


def _response(document: object) -> bytes:
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Calls:
    """What all connections have in common."""

    def __init__(self, size: int, seconds: float, spread: float) -> None:
        self._answer = answer(size)
        self._seconds = seconds
        self._spread = spread
        self._chance = random.Random(1)  # noqa: S311 - spreading load
        self.in_flight = 0
        self.answered = 0

    def begin(self, connection: asyncio.Transport) -> None:
        """A call has come: answer it in a while."""
        self.in_flight += 1
        wait = self._seconds + self._spread * self._chance.uniform(-1, 1)
        asyncio.get_running_loop().call_later(wait, self._end, connection)

    def _end(self, connection: asyncio.Transport) -> None:
        self.in_flight -= 1
        self.answered += 1
        connection.write(self._answer)  # nothing is written to one that is closed

    def told(self) -> bytes:
        """The answer to whoever looks."""
        return _response({"in_flight": self.in_flight, "answered": self.answered})


class Connection(asyncio.Protocol):
    """One at a time: a client sends its next request when it has had its answer."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it for the answers."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        if head.startswith(b"GET"):
            self._transport.write(self._calls.told())
        else:
            self._calls.begin(self._transport)
        self._received.clear()


async def main(size: int, seconds: float, spread: float) -> None:
    """Serve on a free port of this machine until killed."""
    calls = Calls(size, seconds, spread)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(calls), "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)  # noqa: T201 - the address for who started us
    await server.serve_forever()


if __name__ == "__main__":
    tether.hold()
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
