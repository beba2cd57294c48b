"""Templates: where they are, what they may call, and what goes out with every page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
from litestar import Request
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template import TemplateConfig

from api.audit.words import signed
from api.pages.assets import asset
from api.pages.language import chosen_locale
from api.pages.places import here
from api.pages.texts import SCRIPT_TEXTS
from api.pages.viewer import Viewer
from api.services import Services
from api.settings import Settings
from api.texts.i18n import Locale, Message, language_tag
from api.texts.wording import FAILURES

_FOLDER = Path(__file__).parent / "templates"


@jinja2.pass_context
def _text(context: jinja2.runtime.Context, text: str, /, **values: Any) -> str:
    return Message(text, values).text(context["locale"])


def template_config() -> TemplateConfig[JinjaTemplateEngine]:
    """Escaped throughout; a name that a template does not know is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    environment.policies["json.dumps_kwargs"] = compact
    environment.globals.update(t=_text, asset=asset, signed=signed)
    return TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment))


def page(
    request: Request[Any, Any, Any],
    services: Services,
    template: str,
    viewer: Viewer | None,
    *,
    status: int = 200,
    script_texts: Mapping[str, Message] = SCRIPT_TEXTS,
    **context: Any,
) -> Template:
    """The page, in the language that its reader has chosen, with all that keeps it safe."""
    locale = chosen_locale(request)
    return Template(
        template,
        context={
            "viewer": viewer,
            "locale": locale,
            "language": language_tag(locale),
            "path": request.url.path,
            "here": here(request),
            "texts": _script_texts(script_texts, locale),
            **context,
        },
        status_code=status,
        media_type="text/html; charset=utf-8",
        headers={
            "Cache-Control": "no-store",
            "Content-Language": language_tag(locale),
            "Content-Security-Policy": content_security_policy(services.settings),
            # A form's `Origin` would be `null` with the stricter one of everything else.
            "Referrer-Policy": "same-origin",
        },
    )


def content_security_policy(settings: Settings) -> str:
    """Nothing but our own files, and pictures from where the storage's links lead."""
    pictures = settings.s3_public_endpoint or settings.s3_endpoint
    origin = ""
    if pictures:
        parts = urlsplit(pictures)
        origin = f" {parts.scheme}://{parts.netloc}"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' blob: data:{origin}",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )


def _script_texts(script_texts: Mapping[str, Message], locale: Locale) -> dict[str, Any]:
    texts: dict[str, Any] = {name: text.pattern(locale) for name, text in script_texts.items()}
    if script_texts is SCRIPT_TEXTS:
        texts["failures"] = {reason: text.text(locale) for reason, text in FAILURES.items()}
    return texts
