"""The pages' language: Chinese, unless somebody has chosen English; the choice stays."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from api.settings import Settings
from api.texts.i18n import DEFAULT_LOCALE, LOCALES, Locale, language_tag

_NAME = "mintage_language"
_SECONDS = 365 * 86_400
_BY_TAG = {language_tag(locale): locale for locale in LOCALES}


def chosen_locale(connection: ASGIConnection[Any, Any, Any, Any]) -> Locale:
    """The language that this browser has chosen."""
    return _BY_TAG.get(connection.cookies.get(_NAME, ""), DEFAULT_LOCALE)


def language_cookie(tag: str, settings: Settings) -> Cookie | None:
    """What keeps the choice; None for a language that we do not speak."""
    if tag not in _BY_TAG:
        return None
    return Cookie(
        key=_NAME,
        value=tag,
        max_age=_SECONDS,
        path="/",
        secure=settings.mintage_env == "production",
        httponly=True,
        samesite="lax",
    )
