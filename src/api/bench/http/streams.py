"""`mintage bench streams`: what open streams weigh, and how soon each is told of an end."""

import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import click
import uvloop

from api.bench import figures, work
from api.bench.http.accounts import prepare
from api.bench.http.site import MINTAGE, Site, site
from api.bench.http.streaming import Streams, Wanted, request
from api.bench.memory import pss_bytes
from api.bench.report import Report, name_of, number_of, publish, spread_of
from api.bench.rounds import in_turn, rounds_option
from api.bench.server import server, settings
from api.console import json_option, tell
from api.launch.files import allow_files
from ledger.commands import RequestGeneration, SettleGeneration, Submission
from ledger.identity import new_id
from ledger.ledger import Ledger

GENERATIONS = "a generation's events"
BALANCES = "a balance's events"
BARE = "bare"
WARM = 20
"""Streams before the first look at the memory, so that nothing is there for the first time."""

COLUMNS = (
    name_of("streams of", "kind"),
    name_of("contender", "contender"),
    number_of("streams", "streams"),
    number_of("MB without", "mb_without", ",.1f"),
    number_of("MB more", "mb_more", ",.1f"),
    spread_of("min–max", "mb_more", ",.1f"),
    number_of("kB each", "kb_each", ",.1f"),
    number_of("p50 ms", "p50_ms", ",.1f"),
    number_of("p99 ms", "p99_ms", ",.1f"),
)
CAPTION = (
    "medians, in turn, one API process (PSS); ms from when an end is durable, or answered, to its "
    "event at the client"
)


class Streamed(NamedTuple):
    """One process: its memory in MB without and with the streams, and the milliseconds."""

    mb_without: float
    mb_with: float
    milliseconds: list[float]


class Task(NamedTuple):
    """What is opened, and what ends the n-th of it."""

    wanted: Sequence[Wanted]
    end: Callable[[int], Awaitable[None]]


@click.command("streams")
@click.option("--streams", default=1000, show_default=True, type=click.IntRange(1, 5000))
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(0.1, 60))
@rounds_option
@json_option
def streams(*, streams: int, seconds: float, rounds: int, as_json: bool) -> None:
    """Streams open at once: memory of the API process, and time to the client as they end.

    Each round has processes of its own. Beside ours, the least that streams on the same server.
    """
    allow_files()
    measured: dict[tuple[str, str], list[Streamed]] = {}
    with server() as postgres, tempfile.TemporaryDirectory(prefix="mintage-bench-") as made:
        shown = settings(postgres.migration_database_url)
        keys = prepare(postgres.migration_database_url, min(streams, work.ACCOUNTS))
        entrants = [(GENERATIONS, MINTAGE), (BALANCES, MINTAGE), (GENERATIONS, BARE)]
        for number in range(rounds):
            for place in in_turn(entrants, number):
                folder = Path(tempfile.mkdtemp(dir=made))
                done = _measure(
                    postgres.database_url, folder, keys, place, count=streams, seconds=seconds
                )
                measured.setdefault(place, []).append(done)
                more = done.mb_with - done.mb_without
                tell(f"round {number + 1}/{rounds}  {' '.join(place):<32} {more:6.1f} MB more")
    report: Report = {
        "settings": shown | {"rounds": rounds, "seconds": seconds},
        "results": [_row(place, measured[place], streams) for place in entrants],
    }
    publish(report, COLUMNS, CAPTION, as_json=as_json)


def _measure(
    url: str,
    folder: Path,
    keys: Sequence[str],
    place: tuple[str, str],
    *,
    count: int,
    seconds: float,
) -> Streamed:
    kind, name = place
    ledger = Ledger(url, shares_writer=True)
    try:
        with site(name, url, folder) as running:
            running.await_ready()
            make = _bare if name == BARE else _generations if kind == GENERATIONS else _balances

            async def task(size: int) -> Task:
                return await make(ledger, running, keys, size)

            return uvloop.run(_stream(running, task, count, seconds))
    finally:
        ledger.close()


async def _stream(
    running: Site, task: Callable[[int], Awaitable[Task]], count: int, seconds: float
) -> Streamed:
    await _told(running, await task(WARM), 0.1)
    without = _megabytes(running)
    asked = await task(count)
    opened = Streams()
    await opened.open(running.port, asked.wanted)
    beside = _megabytes(running)
    told = await opened.told(asked.end, seconds=seconds)
    opened.close()
    return Streamed(without, beside, [1000 * each for each in told])


async def _told(running: Site, asked: Task, seconds: float) -> None:
    opened = Streams()
    await opened.open(running.port, asked.wanted)
    await opened.told(asked.end, seconds=seconds)
    opened.close()


async def _generations(ledger: Ledger, _: Site, keys: Sequence[str], count: int) -> Task:
    ids = await asyncio.gather(*(_request(ledger, number, keys) for number in range(count)))
    wanted = [
        Wanted(request(f"/v1/generations/{ident}/events", keys[i % len(keys)]), b"event: done", 1)
        for i, ident in enumerate(ids)
    ]
    return Task(wanted, lambda number: _settle(ledger, number, keys, ids[number]))


async def _balances(ledger: Ledger, _: Site, keys: Sequence[str], count: int) -> Task:
    """Each is told its balance at once, then when what it held is charged."""
    ids = await asyncio.gather(*(_request(ledger, number, keys) for number in range(count)))
    asked = [request("/v1/balance/events", keys[number % len(keys)]) for number in range(count)]
    wanted = [Wanted(each, b"event: balance", 2) for each in asked]
    return Task(wanted, lambda number: _settle(ledger, number, keys, ids[number]))


async def _bare(_: Ledger, running: Site, keys: Sequence[str], count: int) -> Task:
    ids = [new_id() for _ in range(count)]
    wanted = [
        Wanted(request(f"/v1/generations/{ident}/events", keys[0]), b"event: done", 1)
        for ident in ids
    ]

    async def end(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        head = f"POST /v1/generations/{ids[number]}/end HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()

    return Task(wanted, end)


async def _request(ledger: Ledger, number: int, keys: Sequence[str]) -> UUID:
    ident = new_id()
    command = RequestGeneration(
        account_id=_account(number, keys),
        generation_id=ident,
        prompt=work.PROMPT,
        members_only=False,
        count=1,
        aspect_ratio="1:1",
    )
    await ledger.record_async(Submission(command=command, actor="bench"))
    return ident


async def _settle(ledger: Ledger, number: int, keys: Sequence[str], ident: UUID) -> None:
    command = SettleGeneration(
        account_id=_account(number, keys), generation_id=ident, images=(work.image(ident),)
    )
    await ledger.record_async(Submission(command=command, actor="bench"))


def _account(number: int, keys: Sequence[str]) -> str:
    return work.account_ids()[number % len(keys)]


def _megabytes(running: Site) -> float:
    return sum(map(pss_bytes, running.pids)) / 1e6


def _row(place: tuple[str, str], measured: Sequence[Streamed], count: int) -> dict[str, Any]:
    kind, name = place
    more = [each.mb_with - each.mb_without for each in measured]
    quantiles = [sorted(each.milliseconds) for each in measured]

    def median_of(share: float) -> float:
        return round(statistics.median(each[int(len(each) * share)] for each in quantiles), 1)

    return {
        "kind": kind,
        "contender": name,
        "streams": count,
        "mb_without": round(statistics.median(each.mb_without for each in measured), 1),
        **figures.spread(more, "mb_more", digits=1),
        "kb_each": round(statistics.median(more) * 1000 / count, 1),
        "p50_ms": median_of(0.5),
        "p99_ms": median_of(0.99),
    }
