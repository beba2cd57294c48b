"""Many HTTP requests at one moment, from a client light enough not to be what is measured.

A connection a request, straight over asyncio: httpx's pool spends 10 ms of CPU on each of a
thousand at once.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """One answer; header names are in lower case, `seconds` from before connecting."""

    status: int
    headers: dict[str, str]
    body: Any
    seconds: float


def post_all(
    urls: Sequence[str], body: Mapping[str, Any], headers: Mapping[str, str], *, count: int
) -> list[Answer]:
    """POST `body` `count` times at once, to the URLs in turn; the answers in order."""

    async def main() -> list[Answer]:
        asked = (_post(urls[n % len(urls)], body, headers) for n in range(count))
        return await asyncio.gather(*asked)

    return asyncio.run(main())


async def _post(url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    parts = urlsplit(url)
    data = json.dumps(body).encode()
    began = time.monotonic()
    head = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + data)
        raw = await reader.read()
        writer.close()
    top, _, content = raw.partition(b"\r\n\r\n")
    status, *lines = top.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return Answer(
        status=int(status.split()[1]),
        headers={name.lower(): value for name, value in fields.items()},
        body=json.loads(content),
        seconds=time.monotonic() - began,
    )
