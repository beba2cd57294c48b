"""Closed-loop callers: each asks, waits for the answer, asks again, until time is up."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import uvloop

Step = Callable[[], Awaitable[None]]


class Run(NamedTuple):
    """Steps a second, and latencies of a step in milliseconds."""

    rate: float
    p50: float
    p99: float


async def measure(pair: Callable[[], tuple[Step, Step]], *, callers: int, seconds: float) -> Run:
    """Run pairs of steps (request, settle) from `callers` tasks for `seconds`."""
    latencies: list[float] = []
    began = time.perf_counter()
    end = began + seconds

    async def caller() -> None:
        while time.perf_counter() < end:
            for step in pair():
                start = time.perf_counter()
                await step()
                latencies.append(time.perf_counter() - start)

    await asyncio.gather(*(caller() for _ in range(callers)))
    elapsed = time.perf_counter() - began
    latencies.sort()
    return Run(
        rate=len(latencies) / elapsed,
        p50=latencies[len(latencies) // 2] * 1000,
        p99=latencies[int(len(latencies) * 0.99)] * 1000,
    )


def run(work: Awaitable[Run]) -> Run:
    """Run to the end on a loop of its own."""

    async def main() -> Run:
        return await work

    return uvloop.run(main())
