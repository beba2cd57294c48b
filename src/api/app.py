"""The composition root: settings in, an ASGI application out."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from anyio import to_thread
from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide

from api import logs
from api.http.application import Application
from api.http.auth import current
from api.http.bodies import BODY_BYTES_MAX, StrictRequest
from api.http.observe import Observe
from api.http.often import Directly
from api.http.principals import Principal
from api.openapi.document import openapi_config
from api.pages.errors import answer
from api.pages.rendering import template_config
from api.routes import route_handlers
from api.services import Services, build_services
from api.settings import Settings
from api.texts.i18n import Locale, locale_of

MULTIPART_PARTS_MAX = 20


def create_app(settings: Settings) -> Litestar:
    """The service over a migrated database. Raises `SettingsError`."""
    services = build_services(settings)

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        services.open()
        try:
            with services.ledger.on_loop():
                yield
        finally:
            await to_thread.run_sync(services.close)

    app = Application(
        route_handlers=route_handlers(settings.reference_max_bytes),
        # Each asks for the one before: those that could be had at once are each given a task of
        # their own, which costs more than all of them.
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "locale": Provide(_locale, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
        },
        exception_handlers={Exception: answer},
        lifespan=[running],
        state=State({"services": services}),
        request_class=StrictRequest,
        request_max_body_size=BODY_BYTES_MAX,
        multipart_form_part_limit=MULTIPART_PARTS_MAX,
        logging_config=None,
        openapi_config=openapi_config(),
        template_config=template_config(),
        debug=False,
    )
    app.asgi_handler = Observe(Directly(app, app.asgi_handler))
    return app


def create_app_from_environ() -> Litestar:
    """For servers that call a factory in each of their processes; sets the logs up as well."""
    settings = Settings.from_environ(os.environ)
    logs.configure(settings)
    return create_app(settings)


def _services(state: State) -> Services:
    return cast("Services", state.services)


def _caller(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],  # noqa: ARG001 - see above
    locale: NamedDependency[Locale],  # noqa: ARG001
) -> Principal:
    return current(request)


def _locale(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],  # noqa: ARG001 - see above
) -> Locale:
    return locale_of(request.headers.get("Accept-Language"))
