"""Logs of commands that a person waits for: on stderr, and only what went wrong."""

import os

import msgspec

from api import logs
from api.settings import Settings


def quiet_logs(settings: Settings) -> None:
    """Errors only, unless LOG_LEVEL is set: a refusal is told in words of its own."""
    if not os.environ.get("LOG_LEVEL"):
        settings = msgspec.structs.replace(settings, log_level="ERROR")
    logs.configure(settings)
