"""Where the database is: the one that the settings name, else the home's embedded one."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from api.launch.addresses import check_together
from api.settings import Settings, SettingsError
from ledger.embedded import EmbeddedPostgres
from ledger.migrate import pending


@contextmanager
def opened(settings: Settings, *, begin: bool = False) -> Iterator[Settings]:
    """`settings` with both database URLs set.

    An embedded server that runs is attached to; one that does not runs as long as the block.
    `begin` makes a new one where there is none, else that is refused.
    """
    check_together(settings)
    check_addresses(settings)
    if settings.database_url is not None:
        yield _with_urls(settings, settings.database_url, settings.migration_database_url)
        return
    if not begin and not (settings.home / "postgres").exists():
        raise click.ClickException(
            f"there is nothing in {settings.home} yet: run `mintage up` or `mintage migrate`, "
            "or set MINTAGE_HOME or DATABASE_URL to where it is"
        )
    with EmbeddedPostgres.start(settings.home) as server:
        yield _with_urls(settings, server.database_url, server.migration_database_url)


def check_addresses(settings: Settings) -> None:
    """Raise `SettingsError` for an address that no PostgreSQL can have; never shows it."""
    for name in ("DATABASE_URL", "MIGRATION_DATABASE_URL"):
        try:
            conninfo_to_dict(getattr(settings, name.lower()) or "")
        except psycopg.ProgrammingError:
            raise SettingsError(f"{name} is no address of a PostgreSQL") from None


def check_migrated(url: str) -> None:
    """Refuse a database that lacks tables; raises psycopg's errors where it does not answer."""
    if missing := pending(url):
        raise click.ClickException(
            f"the database lacks {len(missing)} of our migrations "
            f"({missing[0]} first): run `mintage migrate`"
        )


def _with_urls(settings: Settings, url: str, migration_url: str | None) -> Settings:
    return msgspec.structs.replace(
        settings, database_url=url, migration_database_url=migration_url or url
    )
