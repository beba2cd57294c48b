"""What the environment says, checked once at start-up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from api.http.ids import AccountId

PLACEHOLDER_KEY = "your-api-key-here"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class SettingsError(Exception):
    """A setting is missing or wrong; the message names its variable."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is the environment variable of the same name in capitals."""

    database_url: str | None = None
    migration_database_url: str | None = None
    mintage_home: str = "./.mintage"
    host: str = "127.0.0.1"
    port: Port = 8000
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    gemini_api_key: str | None = None
    gemini_base_url: str | None = None
    gemini_model: str = "gemini-3.1-flash-image"
    gemini_timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 120
    gemini_enhance_model: str | None = None
    mock_delay_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 2000
    s3_endpoint: str | None = None
    s3_access_key: str | None = None
    s3_secret_key: str | None = None
    s3_bucket: str = "mintage"
    s3_region: str = "us-east-1"
    s3_public_endpoint: str | None = None
    demo_user_id: AccountId = "demo-user-123"
    mintage_admin_key: Annotated[str, msgspec.Meta(min_length=16, max_length=256)] | None = None
    mintage_seal_key_file: str | None = None
    mintage_env: Literal["demo", "production"] = "demo"
    rate_limit_generations_per_minute: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 60
    reference_max_bytes: Annotated[int, msgspec.Meta(ge=1, le=52_428_800)] = 5_242_880
    generation_attempts_max: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    generation_lease_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 180
    generation_deadline_seconds: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 600
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the environment; an empty variable counts as absent. Raises `SettingsError`."""
        names = {field.upper(): field for field in cls.__struct_fields__}
        given: dict[str, Any] = {
            field: environ[name] for name, field in names.items() if environ.get(name)
        }
        try:
            settings = msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            message = str(error)
            for name, field in names.items():
                message = message.replace(f"`$.{field}`", name)
            raise SettingsError(message) from None
        settings.check()
        return settings

    @property
    def home(self) -> Path:
        """The data folder, absolute."""
        return Path(self.mintage_home).expanduser().resolve()

    @property
    def uses_mock(self) -> bool:
        """Whether the mock provider draws, since no key of a real one is set."""
        return self.gemini_api_key in {None, PLACEHOLDER_KEY}

    def check(self) -> None:
        """Raise `SettingsError` where settings do not go together."""
        for name in ("GEMINI_BASE_URL", "S3_ENDPOINT", "S3_PUBLIC_ENDPOINT"):
            value = getattr(self, name.lower())
            if value and urlsplit(value).scheme not in {"http", "https"}:
                raise SettingsError(f"{name} must begin with http:// or https://")
        if self.s3_endpoint and not (self.s3_access_key and self.s3_secret_key):
            raise SettingsError("S3_ENDPOINT needs S3_ACCESS_KEY and S3_SECRET_KEY")
        if self.generation_lease_seconds < self.gemini_timeout_seconds and not self.uses_mock:
            raise SettingsError("GENERATION_LEASE_SECONDS must not be below GEMINI_TIMEOUT_SECONDS")
        if self.mintage_env == "production" and self.uses_mock:
            raise SettingsError("MINTAGE_ENV=production refuses the mock: set GEMINI_API_KEY")
        if self.mintage_env == "production" and not self.database_url:
            raise SettingsError("MINTAGE_ENV=production needs DATABASE_URL")
