"""What the load consists of: HTTP requests as bytes, each from another caller."""

import itertools
import random
import secrets
from collections.abc import Iterator, Sequence
from types import MappingProxyType

import msgspec

ACCEPT = "POST /v1/generations"
READS = ("GET /v1/balance", "GET /v1/prompts", "GET /v1/images")
REQUESTS = (ACCEPT, *READS)
PROMPT_ID = "dreamy-forest"
_RATIOS = ("1:1", "3:2", "2:3", "4:3", "3:4", "16:9", "9:16")


def requests(what: str, keys: Sequence[str]) -> Iterator[bytes]:
    """One after the other, without end, each with the key of an account drawn at random.

    Each `POST` has an idempotency key that nobody has had before.
    """
    heads = [_head(what, key) for key in keys]
    if what != ACCEPT:
        while True:
            yield random.choice(heads) + b"\r\n"  # noqa: S311 - spreading load
    run = secrets.token_hex(8)
    bodies = itertools.cycle(map(_body, _RATIOS))
    for number in itertools.count():
        own = b"Idempotency-Key: %s-%d\r\n" % (run.encode(), number)
        yield random.choice(heads) + own + next(bodies)  # noqa: S311 - spreading load


def _head(what: str, key: str) -> bytes:
    lines = (
        f"{what} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {key}",
        "Accept: application/json",
        "Accept-Language: zh-CN,zh;q=0.9,en;q=0.8",
        "User-Agent: mintage-bench",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


def _body(ratio: str) -> bytes:
    body = msgspec.json.encode({"prompt_id": PROMPT_ID, "count": 1, "aspect_ratio": ratio})
    head = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


EXPECTED = MappingProxyType({what: 202 if what == ACCEPT else 200 for what in REQUESTS})
"""The one status that counts as an answer."""
