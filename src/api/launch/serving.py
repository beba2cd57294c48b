"""uvicorn, set up for us: one process, or several behind one socket."""

import logging
import multiprocessing
import os
import shutil
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

import uvicorn
from litestar import Litestar
from uvicorn.supervisors import Multiprocess

from api import logs
from api.app import create_app_from_environ
from api.http.bounded_http import BoundedHttp
from api.launch import tether
from api.launch.collecting import collect_seldom
from api.launch.files import allow_files
from api.settings import Settings

App = TypeVar("App")

CONNECTIONS_MAX = 8_000
"""Of one process, streams included; more are answered 503."""

BACKLOG = 2_048
STOP_SECONDS_MAX = 3
KEEP_ALIVE_SECONDS = 30
UNHEALTHY_SECONDS = 30


def serve(
    settings: Settings, bound: socket.socket, factory: str = "api.launch.serving:application"
) -> bool:
    """Serve on the socket until SIGTERM or SIGINT. False if it could not begin.

    `factory` names the function that builds the application, in each process.
    """
    allow_files()
    _hand_on(settings)
    config = uvicorn.Config(
        factory,
        factory=True,
        workers=settings.workers,
        loop="uvloop",
        http=BoundedHttp,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whoever connects could say anything
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS_MAX,
        timeout_worker_healthcheck=UNHEALTHY_SECONDS,
    )
    # Its own lines on starting and stopping say less than ours.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    if settings.workers > 1:
        _on_signals(lambda *_: None)
        _share_metrics(settings)
        logs.configure(settings)
        Multiprocess(config, sockets=[bound]).run()
        return True
    server = uvicorn.Server(config)
    # Also before the server listens to signals itself: none may be lost on the way there.
    _on_signals(server.handle_exit)
    server.run(sockets=[bound])
    return server.started


def _on_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    """For uvicorn raises the signal that ended it once more; ended as asked is no failure."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def application() -> Litestar:
    """The service, from the environment."""
    return prepared(create_app_from_environ)


def prepared(build: Callable[[], App]) -> App:
    """Build the application in the process that serves it, which dies with its parent."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        tether.die_with(parent.pid)
    app = build()
    collect_seldom()
    return app


def _hand_on(settings: Settings) -> None:
    """The serving processes read their settings from the environment again.

    Without the owner's address: what answers strangers must not be able to change the log.
    """
    os.environ["DATABASE_URL"] = settings.database_url or ""
    os.environ.pop("MIGRATION_DATABASE_URL", None)


def _share_metrics(settings: Settings) -> None:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        folder = settings.home / "metrics-api"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
