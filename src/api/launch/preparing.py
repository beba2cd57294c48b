"""What a database needs before the roles can use it; imports much, so it is imported late."""

from contextlib import closing
from typing import NamedTuple

import psycopg

from api.connection import Connection
from api.credentials import Role
from api.launch.demo_keys import demo_keys
from api.launch.quiet import quiet_logs
from api.opening import check_addresses
from api.seed import is_seeded, seed
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
        seed_missing(connection, settings)
        keys = demo_keys(connection, settings.home, settings.demo_user_id)
        detail = f"account {settings.demo_user_id}, prompts, 3 keys"
        return Prepared(detail, keys, _first_prompt(connection))


def run_seed(settings: Settings) -> None:
    """Seed a migrated database."""
    with psycopg.connect(settings.database_url or "", autocommit=True) as connection:
        seed_missing(connection, settings)


def seed_missing(connection: Connection, settings: Settings) -> None:
    """Seed, unless there is nothing to add."""
    if is_seeded(connection, settings.demo_user_id):
        return
    from ledger.ledger import Ledger  # noqa: PLC0415 - a warm start gets by without it

    with closing(Ledger(settings.database_url or "", shares_writer=True)) as ledger:
        seed(connection, ledger, settings.demo_user_id)


def _first_prompt(connection: Connection) -> str | None:
    row = connection.execute(_PROMPT).fetchone()
    return None if row is None else str(row[0])
