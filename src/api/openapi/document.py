"""The OpenAPI document at /schema/openapi.json, and nothing that loads scripts from elsewhere."""

from importlib.metadata import PackageNotFoundError, version

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag

_DESCRIPTION = """\
An event-sourced token ledger and the image generation service that spends it.

Every error is an RFC 9457 problem whose `code` never changes; `detail` follows `Accept-Language`
(`zh-CN` unless `en` is asked for). Every answer carries `X-Request-ID`, the caller's own if it is
1–128 of `A-Z a-z 0-9 _ . : -`. Lists are newest first and paged with an opaque `cursor`.
A query parameter that a route does not have, or that is given twice, is `INVALID_INPUT`.
A `503` on a request that writes means that its outcome is unknown: try again with the same
`Idempotency-Key`.
"""


def openapi_config() -> OpenAPIConfig:
    """Version 3.1, for every route below /v1 with a key or a session."""
    return OpenAPIConfig(
        title="Mintage",
        version=_version(),
        description=_DESCRIPTION,
        path="/schema",
        render_plugins=[JsonRenderPlugin()],
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", description="An API key: `mint_…`."
                ),
                "session": SecurityScheme(
                    type="apiKey",
                    name="mintage_session",
                    security_scheme_in="cookie",
                    description="A browser's session (`__Host-mintage_session` in production); "
                    "every unsafe request needs its `X-CSRF-Token`.",
                ),
            }
        ),
        security=[{"bearer": []}, {"session": []}],
        tags=[
            Tag("generations", "Asking for images and following them."),
            Tag("images", "What came of it."),
            Tag("prompts", "What can be drawn."),
            Tag("account", "The caller's own tokens."),
            Tag("administration", "For admins; support may read."),
            Tag("audit", "The log, for support and admins; each read is itself recorded."),
            Tag("operations", "For those who run the service."),
        ],
    )


def _version() -> str:
    try:
        return version("mintage")
    except PackageNotFoundError:  # run from the source tree
        return "0"
