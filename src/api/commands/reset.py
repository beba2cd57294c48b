"""`mintage reset`: a demo, as it was on the first day."""

import os
import shutil
from contextlib import closing

import click
import psycopg
from psycopg import sql

from api.console import json_option, print_json
from api.launch.instance import Instance
from api.launch.preparing import run_seed
from api.launch.quiet import quiet_logs
from api.opening import opened
from api.settings import Settings
from api.storing import build_storage
from generation import objects
from ledger.migrate import migrate

PAGE = 1_000
_OURS = (
    "SELECT to_regclass('ledger_events') IS NOT NULL, to_regclass('alembic_version') IS NOT NULL"
)
_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'"""
_DROPS = """
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
    current_schema()::text, c.relname::text, ''
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
    AND pg_has_role(c.relowner, 'MEMBER')
UNION ALL
SELECT 'FUNCTION', current_schema()::text, p.proname::text,
    '(' || pg_get_function_identity_arguments(p.oid) || ')'
FROM pg_proc AS p
WHERE p.pronamespace = current_schema()::regnamespace AND p.prokind = 'f'
    AND pg_has_role(p.proowner, 'MEMBER')
    AND NOT EXISTS (  -- an extension's go with it, and it stays
        SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')"""


@click.command()
@click.option("--yes", is_flag=True, help="Really: every account, picture and key goes.")
@json_option
def reset(*, yes: bool, as_json: bool) -> None:
    """Empty a demo: tables made anew, pictures deleted, seeded. Never while it runs.

    Refused in production. The demo keys of `mintage up` stay the same.
    """
    settings = Settings.from_environ(os.environ)
    if settings.mintage_env == "production":
        raise click.ClickException("MINTAGE_ENV is production: nothing is reset there")
    if not yes:
        raise click.UsageError("everything would be deleted; say --yes if that is what you want")
    quiet_logs(settings)
    with closing(_Claim(settings)), opened(settings, begin=True) as open_settings:
        _empty_database(open_settings.migration_database_url or "")
        deleted = _empty_storage(open_settings)
        applied = migrate(open_settings.migration_database_url or "")
        run_seed(open_settings)
    if as_json:
        print_json({"migrations": len(applied), "deleted_objects": deleted})
    else:
        click.echo(f"emptied and seeded; {deleted} stored objects deleted")


class _Claim:
    """Nothing else runs on the folder meanwhile."""

    def __init__(self, settings: Settings) -> None:
        self.close = Instance.claim(settings.home).release


def _empty_database(url: str) -> None:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        ours = connection.execute(_OURS).fetchone()
        if ours == (False, False):
            return
        if ours != (True, True):
            raise click.ClickException("this database is not one of ours: left alone")
        row = connection.execute(_OTHERS).fetchone()
        if row and row[0]:
            raise click.ClickException(
                f"something else is connected to the database ({row[0]}): stop Mintage first"
            )
        _drop(connection)


def _drop(connection: psycopg.Connection) -> None:
    """Drop the tables, views and functions of the schema that we own, and nothing of others'."""
    found = connection.execute(_DROPS).fetchall()
    with connection.transaction():
        for kind, schema, name, arguments in found:
            connection.execute(
                sql.SQL("DROP {} IF EXISTS {}{} CASCADE").format(
                    sql.SQL(kind), sql.Identifier(schema, name), sql.SQL(arguments)
                )
            )


def _empty_storage(settings: Settings) -> int:
    if settings.s3_endpoint is None:
        folder = settings.home / "storage" / "objects"
        count = sum(path.is_file() for path in folder.rglob("*"))
        shutil.rmtree(settings.home / "storage", ignore_errors=True)
        return count
    storage = build_storage(settings)
    deleted, after = 0, ""
    while page := storage.list("", after=after, limit=PAGE):
        after = page[-1].key
        for found in page:
            if objects.origin(found.key) is not None:  # the bucket may hold others' too
                storage.delete(found.key)
                deleted += 1
    return deleted
