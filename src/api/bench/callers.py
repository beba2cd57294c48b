"""Closed-loop callers: each asks, waits for the answer, asks again, until time is up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Self, TypeVar

import uvloop

Step = Callable[[], Awaitable[None]]
Pair = Callable[[], tuple[Step, Step]]
Result = TypeVar("Result")


class Tally(NamedTuple):
    """What one process's callers did: seconds that each step took, and how long they were at it.

    `failed` counts steps that ended in an error; those are not among the others.
    """

    latencies: Sequence[float]
    seconds: float
    failed: int = 0


class Run(NamedTuple):
    """Steps a second, and latencies of a step in milliseconds."""

    rate: float
    p50: float
    p99: float
    failed: int = 0

    @classmethod
    def of(cls, tallies: Sequence[Tally]) -> Self:
        """What several processes did at the same time."""
        latencies = sorted(latency for tally in tallies for latency in tally.latencies)
        return cls(
            rate=sum(len(tally.latencies) / tally.seconds for tally in tallies),
            p50=latencies[len(latencies) // 2] * 1000,
            p99=latencies[int(len(latencies) * 0.99)] * 1000,
            failed=sum(tally.failed for tally in tallies),
        )


async def tally(
    pair: Pair, *, callers: int, seconds: float, counted: tuple[type[Exception], ...] = ()
) -> Tally:
    """Run pairs of steps (request, settle) from `callers` tasks for `seconds`.

    An error ends it, unless it is one of those `counted`: then its pair is given up.
    """
    latencies: list[float] = []
    failed = 0
    began = time.perf_counter()
    end = began + seconds

    async def caller() -> None:
        nonlocal failed
        while time.perf_counter() < end:
            for step in pair():
                start = time.perf_counter()
                try:
                    await step()
                except counted:
                    failed += 1
                    break
                latencies.append(time.perf_counter() - start)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return Tally(latencies, time.perf_counter() - began, failed)


async def measure(pair: Pair, *, callers: int, seconds: float) -> Run:
    """The same, as rate and latencies."""
    return Run.of([await tally(pair, callers=callers, seconds=seconds)])


def run(work: Awaitable[Result]) -> Result:
    """Run to the end on a loop of its own."""

    async def main() -> Result:
        return await work

    return uvloop.run(main())
