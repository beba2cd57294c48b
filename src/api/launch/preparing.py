"""What a database needs before the roles can use it; imports much, so it is imported late."""

from typing import Any, NamedTuple

import psycopg

from api.http.principals import Role
from api.launch.demo_keys import demo_keys
from api.launch.quiet import quiet_logs
from api.opening import check_addresses
from api.seed import seed
from api.services import build_services
from api.settings import Settings
from ledger.migrate import migrate

_PROMPT = """
SELECT p.id
FROM prompts AS p JOIN prompt_versions AS v ON v.prompt_id = p.id AND v.version = p.version
WHERE p.hidden_at IS NULL AND NOT v.members_only ORDER BY p.ordinal DESC LIMIT 1"""
_FREE = """
UPDATE generation_leases SET lease_until = clock_timestamp()
WHERE lease_until > clock_timestamp()"""


class Prepared(NamedTuple):
    """What a person needs to try it."""

    detail: str
    keys: dict[Role, str]
    prompt_id: str | None


def migrate_tables(settings: Settings, *, alone: bool) -> list[str]:
    """Apply what is pending; names it.

    `alone`: the server is ours and has just begun, so no earlier worker can hold a lease. Those
    that a killed one left are freed, or its generations would wait for minutes.
    """
    quiet_logs(settings)
    check_addresses(settings)
    applied = migrate(settings.migration_database_url or "")
    if alone and not applied:
        with psycopg.connect(settings.database_url or "", autocommit=True) as connection:
            connection.execute(_FREE)
    return applied


def prepare(settings: Settings) -> Prepared:
    """Seed, and make the demo's keys; in production neither."""
    with psycopg.connect(settings.database_url or "", autocommit=True) as connection:
        if settings.mintage_env == "production":
            return Prepared("left alone in production", {}, _first_prompt(connection))
        run_seed(settings)
        keys = demo_keys(connection, settings.home, settings.demo_user_id)
        detail = f"account {settings.demo_user_id}, prompts, 3 keys"
        return Prepared(detail, keys, _first_prompt(connection))


def run_seed(settings: Settings) -> None:
    """Seed a migrated database."""
    services = build_services(settings)
    try:
        services.open()
        seed(services)
    finally:
        services.close()


def _first_prompt(connection: psycopg.Connection[Any]) -> str | None:
    row = connection.execute(_PROMPT).fetchone()
    return None if row is None else str(row[0])
