"""The composition root: settings in, an ASGI application out."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from litestar import Litestar
from litestar.datastructures import State

from api import health
from api.services import Services, build_services
from api.settings import Settings

BODY_BYTES_MAX = 65_536
"""For every body but a generation's, which may carry a picture."""


def create_app(settings: Settings) -> Litestar:
    """The service over a migrated database. Raises `SettingsError`."""
    services = build_services(settings)

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        services.open()
        try:
            yield
        finally:
            await to_thread.run_sync(services.close)

    return Litestar(
        route_handlers=[health.live],
        lifespan=[running],
        state=State({"services": services}),
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
        openapi_config=None,
    )


def create_app_from_environ() -> Litestar:
    """For servers that call a factory in each of their processes."""
    return create_app(Settings.from_environ(os.environ))


__all__ = ["Services", "create_app", "create_app_from_environ"]
