"""Gemini's client alone: as many calls at once, and what they answer dropped. A worker's ceiling.

`python -m api.bench.calls URL CALLS_AT_ONCE SECONDS` prints what it did as JSON.
"""

import asyncio
import json
import os
import sys
import time

import uvloop

from api.bench.memory import pss_bytes
from generation.gemini import GeminiProvider
from generation.provider import ImageRequest

_REQUEST = ImageRequest(title="梦幻森林", content="A quiet, misty forest", aspect_ratio="1:1")
WARM_SECONDS = 1.0


async def main(url: str, calls_at_once: int, seconds: float) -> None:
    """Call for `seconds`, after a while of getting warm."""
    provider = GeminiProvider(
        api_key="bench", base_url=url, model="bench-image-1", timeout_seconds=120
    )
    begin = time.monotonic() + WARM_SECONDS
    end = begin + seconds
    answered = 0

    async def call() -> None:
        nonlocal answered
        while time.monotonic() < end:
            await provider.generate(_REQUEST)
            answered += begin < time.monotonic() < end

    async with asyncio.TaskGroup() as group:
        for _ in range(calls_at_once):
            group.create_task(call())
        await asyncio.sleep(WARM_SECONDS)
        before = time.process_time()
        await asyncio.sleep(seconds)
        spent = time.process_time() - before
    told = {"finished": answered, "cpu_seconds": spent, "pss_bytes": pss_bytes(os.getpid())}
    print(json.dumps(told))  # noqa: T201 - for who started us
    await provider.aclose()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
