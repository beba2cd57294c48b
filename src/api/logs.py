"""Structured logs on stderr: JSON or for people. Never bodies, keys or prompts."""

import logging
import sys
from typing import Any

import structlog

from api.log_errors import format_error
from api.settings import Settings


def configure(settings: Settings) -> None:
    """Set up structlog, and the standard library's loggers through it. Once a process."""
    as_json = (settings.log_format or ("console" if sys.stderr.isatty() else "json")) == "json"
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Any] = (
        [
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                format_error,
                *renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    # Their own lines repeat ours, or tell of each connection.
    for name in ("uvicorn.access", "httpx", "httpx2", "google_genai"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelName(settings.log_level)
        ),
        cache_logger_on_first_use=True,
    )
