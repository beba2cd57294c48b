"""Moving the views after the log."""

import threading
from typing import Any

import psycopg


def advance(connection: psycopg.Connection[Any], *, limit: int = 10_000) -> int:
    raise NotImplementedError


class Projector:
    def __init__(self, url: str) -> None:
        self._url = url

    def run(self, stop: threading.Event) -> None:
        raise NotImplementedError
