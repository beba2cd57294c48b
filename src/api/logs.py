"""Structured logs on stderr: JSON or for people. Never bodies, keys or prompts."""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import partial
from select import PIPE_BUF
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from api.http.about import tell_about
from api.log_errors import format_error
from api.settings import Settings

REQUESTS = "api.requests"


def configure(settings: Settings) -> None:
    """Set up structlog, and the standard library's loggers through it. Once a process.

    Ours are written without the standard library, which takes several times as long for a line.
    """
    as_json = (settings.log_format or ("console" if sys.stderr.isatty() else "json")) == "json"
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        tell_about,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    written: list[Any] = [
        format_error,
        _as_json if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *written],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    # Their own lines repeat ours, or tell of each connection.
    for name in ("uvicorn.access", "httpx", "httpx2", "google_genai"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, *written],
        logger_factory=partial(_Lines, sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelName(settings.log_level)
        ),
        cache_logger_on_first_use=True,
    )


def request_log() -> FilteringBoundLogger:
    """For the one line of each request, as it was configured, in as few steps as there can be.

    With structlog's own it takes half as long again.
    """
    config = structlog.get_config()
    render = config["processors"][-1]
    logger: FilteringBoundLogger = structlog.wrap_logger(
        config["logger_factory"](REQUESTS),
        processors=[_complete, render],
        wrapper_class=config["wrapper_class"],
    )
    return logger.bind()  # once: the proxy would look for it in each request


def _complete(_: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    now = msgspec.to_builtins(datetime.now(UTC))
    return {
        **tell_about(_, level, event),
        "logger": REQUESTS,
        "level": level,
        "timestamp": now,
    }


class _Lines:
    """Writes whole lines. What cannot be written is lost: the work goes on."""

    def __init__(self, stream: TextIO, name: str = "") -> None:
        self.name = name
        self._stream = stream
        self._gathered: dict[asyncio.AbstractEventLoop, list[str]] = {}

    def msg(self, line: str) -> None:
        """One line, at once."""
        with contextlib.suppress(OSError, ValueError):  # a full disk, a closed pipe
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def info(self, line: str) -> None:
        """One line, with the others of this turn of the event loop, since each write costs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.msg(line)
            return
        gathered = self._gathered.setdefault(loop, [])
        if not gathered:
            loop.call_soon(self._write_gathered, loop)
        gathered.append(line)

    def _write_gathered(self, loop: asyncio.AbstractEventLoop) -> None:
        together: list[str] = []
        room = PIPE_BUF
        for line in self._gathered.pop(loop):
            taken = len(line.encode(errors="replace")) + 1
            if taken > room and together:
                self._write(together)
                together, room = [], PIPE_BUF
            together.append(line)
            room -= taken
        self._write(together)

    def _write(self, lines: list[str]) -> None:
        # No more than a pipe takes whole: other processes write to the same one.
        text = "\n".join(lines)
        self.msg(text)

    debug = info
    warning = error = critical = exception = msg


def _as_json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(event, default=repr)
