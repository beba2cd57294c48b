"""Which provider draws, by the settings."""

from collections.abc import Mapping
from importlib import import_module

from api.settings import Settings, SettingsError
from generation.gemini import GeminiProvider
from generation.mock import MockProvider
from generation.provider import Provider


def preload(environ: Mapping[str, str]) -> None:
    """Import what the provider will need, where that is much, so that nobody waits for it later."""
    if not Settings.from_environ(environ).uses_mock:
        import_module("google.genai")
        import_module("generation.gemini_http")


def build_provider(settings: Settings) -> Provider:
    """Gemini where a real key is set, else the mock. Raises `SettingsError`."""
    if settings.gemini_api_key is None or settings.uses_mock:
        return MockProvider(delay_ms=settings.mock_delay_ms)
    try:
        return GeminiProvider(
            api_key=settings.gemini_api_key,
            base_url=settings.gemini_base_url,
            model=settings.gemini_model,
            timeout_seconds=settings.gemini_timeout_seconds,
            enhance_model=settings.gemini_enhance_model,
        )
    except ValueError as error:
        raise SettingsError(str(error)) from None
