"""An application behind the product's HTTP alone, and a connection to it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from api.http.bounded_http import BoundedHttp


@contextmanager
def connected_to(app: Any) -> Iterator[socket.socket]:
    """Serves it on a thread until left, and sees that it ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=BoundedHttp, lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    with socket.create_connection(listener.getsockname(), timeout=60) as client:
        yield client
    server.should_exit = True
    thread.join(60)
    listener.close()
    assert not thread.is_alive()
