"""Whether the database's two addresses go together."""

from api.settings import Settings, SettingsError


def check_together(settings: Settings) -> None:
    """Raise `SettingsError` where one database would be migrated and another one used."""
    if settings.migration_database_url and not settings.database_url:
        raise SettingsError("MIGRATION_DATABASE_URL is set but DATABASE_URL is not")
