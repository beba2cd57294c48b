"""A role that is asked to end as soon as it is ready ends, whatever it is doing just then."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from api.launch.child import Child
from databases import Database

TRIES = 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_signal_is_lost_while_the_api_starts(
    database: Database, tmp_path: Path, number: signal.Signals
) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database.url,
        "MINTAGE_HOME": str(tmp_path),
        "LOG_LEVEL": "WARNING",
    }
    for attempt in range(TRIES):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            child = Child("api", environ, None, listener.fileno())
            child.begin({})
            child.wait_ready(time.monotonic() + 60)
            time.sleep(attempt * 0.002)
            child.process.send_signal(number)
            try:
                child.process.wait(timeout=60)
            finally:
                child.process.kill()
                child.process.wait()
                os.close(child.ready)
