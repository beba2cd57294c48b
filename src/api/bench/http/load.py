"""The load: a process of its own that speaks HTTP/1.1 over connections that stay open.

Closed loop: each connection asks again once it is answered. Open loop: requests are due at random
times of a fixed rate, whoever is answered or not, and a latency is counted from when it was due.
`python -m api.bench.http.load` reads keys, then `Load`s from stdin, and writes a `Loaded` for each:
lines of JSON.

No tool for this is in PyPI or npm: those there either wait for answers before they ask again, or
take more of a processor than the server they measure.
"""

import asyncio
import gc
import random
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, cast

import httptools
import msgspec
import uvloop

from api.bench.http.asking import EXPECTED, requests

DRAIN_SECONDS_MAX = 20.0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of 127.0.0.1. `rate` is requests a second; None is a closed loop."""

    port: int
    what: str
    connections: int
    seconds: float
    rate: float | None = None


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """How it went. `late_p99_ms` is how long after it was due the generator itself asked."""

    answered: int
    seconds: float
    p50_ms: float
    p99_ms: float
    late_p99_ms: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


class WrongAnswerError(Exception):
    """Something was answered otherwise than expected, or not at all."""


class Loader:
    """The process, for as long as the block; it ends with us in any case, since its stdin does."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-P", "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._write(msgspec.json.encode(keys))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, load: Load) -> Loaded:
        """Measure; takes the load's seconds and 20 more at most. Raises `WrongAnswerError`."""
        self._write(msgspec.json.encode(load))
        assert self._process.stdout is not None
        line = self._process.stdout.readline() or b'"the load generator ended"'
        told = msgspec.json.decode(line, type=Loaded | str)
        if isinstance(told, str):
            raise WrongAnswerError(told)
        return told

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()


class _Connection(asyncio.Protocol):
    def __init__(self, generator: "_Generator") -> None:
        self._generator = generator
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are no subclass

    def ask(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._generator.answered(self, self._parser.get_status_code())

    def connection_lost(self, exc: Exception | None) -> None:
        self._generator.lost(self, exc)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class _Generator:
    def __init__(self, load: Load, keys: Sequence[str]) -> None:
        self._load = load
        self._requests: Iterator[bytes] = requests(load.what, keys)
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._latencies: list[float] = []
        self._late: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._under_way = 0
        self._end = 0.0
        self._done = asyncio.Event()
        self._failure: Exception | None = None

    async def run(self) -> Loaded:
        loop = asyncio.get_running_loop()
        connected = await asyncio.gather(
            *(
                loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._load.port)
                for _ in range(self._load.connections)
            )
        )
        made = [connection for _, connection in connected]
        gc.collect()
        spent = time.process_time()
        began = time.perf_counter()
        self._end = began + self._load.seconds
        if self._load.rate is None:
            for connection in made:
                self._ask(connection, time.perf_counter())
        else:
            self._idle.extend(made)
            await self._offer(began, self._load.rate)
        try:
            async with asyncio.timeout(self._load.seconds + DRAIN_SECONDS_MAX):
                await self._done.wait()
        except TimeoutError:
            raise self._unanswered() from None
        ended = time.perf_counter()
        if self._failure:
            raise self._failure
        spent = time.process_time() - spent
        for connection in made:
            connection.close()
        return self._told(ended - began, spent)

    async def _offer(self, began: float, rate: float) -> None:
        """Ask what is due, once a millisecond: a loop's timers are no finer."""
        draw = random.Random(0)  # noqa: S311 - the same times for every contender
        due = began + draw.expovariate(rate)
        while due < self._end:
            now = time.perf_counter()
            while due <= now and due < self._end:
                self._late.append(now - due)
                if self._idle:
                    self._ask(self._idle.popleft(), due)
                else:
                    self._due.append(due)
                due += draw.expovariate(rate)
            await asyncio.sleep(0.001)
        await asyncio.sleep(max(self._end - time.perf_counter(), 0) + 0.001)
        self._idle_or_done()

    def _ask(self, connection: _Connection, due: float) -> None:
        self._under_way += 1
        connection.ask(next(self._requests), due)

    def answered(self, connection: _Connection, status: int) -> None:
        now = time.perf_counter()
        self._under_way -= 1
        self._statuses[status] += 1
        self._latencies.append(now - connection.due)
        if self._load.rate is not None:
            if self._due:
                self._ask(connection, self._due.popleft())
                return
            self._idle.append(connection)
        elif now < self._end:
            self._ask(connection, now)
            return
        self._idle_or_done()

    def _idle_or_done(self) -> None:
        if not self._under_way and time.perf_counter() >= self._end:
            self._done.set()

    def lost(self, connection: _Connection, exc: Exception | None) -> None:
        if connection in self._idle:  # a server may hang up on who has asked nothing for long
            self._idle.remove(connection)
        elif not self._done.is_set():
            self._failure = WrongAnswerError(f"the server hung up: {exc}")
            self._done.set()

    def _unanswered(self) -> WrongAnswerError:
        return WrongAnswerError(
            f"not everything was answered within {DRAIN_SECONDS_MAX:g} s: {self._under_way} are "
            f"under way, {len(self._due)} not sent yet, answered were {dict(self._statuses)}"
        )

    def _told(self, seconds: float, spent: float) -> Loaded:
        expected = EXPECTED[self._load.what]
        if not self._latencies:
            raise WrongAnswerError("nothing was asked: too short a time at too low a rate")
        if self._statuses.keys() != {expected}:
            raise WrongAnswerError(f"{self._load.what} was answered {dict(self._statuses)}")
        return Loaded(
            answered=len(self._latencies),
            seconds=seconds,
            p50_ms=_percentile(self._latencies, 0.5) * 1000,
            p99_ms=_percentile(self._latencies, 0.99) * 1000,
            late_p99_ms=_percentile(self._late or [0.0], 0.99) * 1000,
            cpu_seconds=spent,
        )


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def _main() -> None:
    keys = msgspec.json.decode(sys.stdin.buffer.readline(), type=list[str])
    gc.disable()
    for line in sys.stdin.buffer:
        told: Loaded | str
        try:
            told = uvloop.run(_Generator(msgspec.json.decode(line, type=Load), keys).run())
        except (WrongAnswerError, OSError) as error:
            told = f"{type(error).__name__}: {error}"
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
