"""Texts for people, from gettext catalogues: Chinese unless English is asked for.

Catalogues are read as they are written (`.po`), so there is nothing to compile and forget.
"""

from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from babel.messages.pofile import read_po

from api.http.negotiation import quality

Locale = Literal["zh_CN", "en"]
DEFAULT_LOCALE: Final[Locale] = "zh_CN"
LOCALES: tuple[Locale, ...] = ("zh_CN", "en")

ACCEPT_CHARACTERS_MAX = 200
_FOLDER = Path(__file__).parents[1] / "locale"


class Message(msgspec.Struct, frozen=True):
    """A text by its id, which is the English one, and what stands in its braces."""

    id: str
    values: dict[str, Any] = {}

    def text(self, locale: Locale) -> str:
        """The text in that language."""
        return self.pattern(locale).format(**self.values)

    def pattern(self, locale: Locale) -> str:
        """The same with its braces left open."""
        return _catalogue(locale).get(self.id, self.id)


def msg(text: str, /, **values: Any) -> Message:
    """Mark a text for the catalogues."""
    return Message(text, values)


def locale_of(accept_language: str | None) -> Locale:
    """The language that RFC 9110's header prefers among ours."""
    return _preferred((accept_language or "")[:ACCEPT_CHARACTERS_MAX])


@lru_cache(1024)
def _preferred(accept_language: str) -> Locale:
    best, best_quality = DEFAULT_LOCALE, 0.0
    for part in accept_language.split(","):
        tag, _, parameters = part.strip().partition(";")
        locale = _LANGUAGES.get(tag.strip().lower().partition("-")[0])
        quality = _quality(parameters)
        if locale is not None and quality > best_quality:
            best, best_quality = locale, quality
    return best


def language_tag(locale: Locale) -> str:
    """The locale as HTTP and HTML write it."""
    return locale.replace("_", "-")


_LANGUAGES: dict[str, Locale] = {"zh": "zh_CN", "en": "en"}


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    return quality(value) if name.strip() == "q" else 1.0


@cache
def _catalogue(locale: Locale) -> dict[str, str]:
    with (_FOLDER / locale / "LC_MESSAGES" / "mintage.po").open("rb") as file:
        catalogue = read_po(file, locale=locale)
    return {str(m.id): str(m.string) for m in catalogue if m.id and m.string}
