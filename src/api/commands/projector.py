"""`mintage projector`: the role that keeps the views."""

import os
import signal
import threading
from types import FrameType

import click

from api import logs
from api.launch import tether
from api.opening import check_migrated, opened
from api.settings import Settings
from projections.projector import Projector


@click.command()
def projector() -> None:
    """Fold the log into the views as it grows; a second one stands by."""
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
        Projector(settings.database_url or "").run(stop)
