"""`mintage worker`: the role that draws."""

import asyncio
import os
import signal

import click
import structlog
import uvloop

from api import logs
from api.launch import tether
from api.launch.collecting import collect_seldom
from api.launch.files import allow_files
from api.opening import check_migrated, opened
from api.providing import build_provider, preload
from api.settings import Settings
from api.storing import build_storage
from generation.worker import Worker
from generation.workshop import Limits
from ledger.ledger import Ledger

CONCURRENCY = 100
CONCURRENCY_MAX = 5_000
STOP_SECONDS_MAX = 4.0

_log = structlog.get_logger("api.worker")


@click.command()
@click.option(
    "--concurrency",
    type=click.IntRange(1, CONCURRENCY_MAX),
    default=CONCURRENCY,
    show_default=True,
    help="Generations at a time.",
)
def worker(*, concurrency: int) -> None:
    """Draw what is asked for, store it, settle; any number of these may run."""
    preload(os.environ)
    tether.await_begin()
    given = Settings.from_environ(os.environ)
    logs.configure(given)
    with opened(given) as settings:
        check_migrated(settings.database_url or "")
        allow_files()
        uvloop.run(_work(settings, concurrency))


async def _work(settings: Settings, concurrency: int) -> None:
    url = settings.database_url or ""
    ledger = Ledger(url, shares_writer=True)
    try:
        working = Worker(
            url=url,
            ledger=ledger,
            provider=build_provider(settings),
            storage=build_storage(settings),
            limits=limits(settings),
            concurrency=concurrency,
        )
        with ledger.on_loop():
            await _until_stopped(working)
    finally:
        await asyncio.to_thread(ledger.close)


async def _until_stopped(working: Worker) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        asked.set()
        working.stop()
        loop.remove_signal_handler(number)  # the second one ends it at once

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    collect_seldom()
    tether.ready()
    running = asyncio.create_task(working.run())
    stopping = asyncio.create_task(asked.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    done, _ = await asyncio.wait({running}, timeout=STOP_SECONDS_MAX)
    stopping.cancel()
    if done:
        await running
    else:
        # Its leases run out by themselves; whoever asked us to stop should not wait for that.
        _log.warning("worker did not stop in time", seconds=STOP_SECONDS_MAX)
        running.cancel()
        await asyncio.wait({running}, timeout=1)


def limits(settings: Settings) -> Limits:
    """The bounds of a generation's life."""
    return Limits(
        attempts_max=settings.generation_attempts_max,
        lease_seconds=settings.generation_lease_seconds,
        deadline_seconds=settings.generation_deadline_seconds,
    )
