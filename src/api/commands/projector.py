"""`mintage projector`: the role that keeps the views and the hash chain."""

import os
import signal
import threading
from types import FrameType

import click

from api import logs
from api.launch import tether
from api.opening import check_migrated, opened
from api.settings import Settings
from ledger.chain.chainer import Chainer
from projections.projector import Projector


@click.command()
def projector() -> None:
    """Fold the log into the views, and chain it, as it grows; a second one stands by."""
    tether.await_begin()
    given = Settings.from_environ(os.environ)
    logs.configure(given)
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        stop.set()
        signal.signal(number, signal.SIG_DFL)  # the second one ends it at once

    with opened(given) as settings:
        check_migrated(settings.database_url or "")
        signal.signal(signal.SIGINT, handle)
        signal.signal(signal.SIGTERM, handle)
        tether.ready()
        url = settings.database_url or ""
        chaining = threading.Thread(target=Chainer(url).run, args=(stop,), name="chainer")
        chaining.start()
        Projector(url).run(stop)
        chaining.join()
