"""The three roles of an embedded server and its database."""

from typing import TYPE_CHECKING

from ledger.embedded.files import Passwords

if TYPE_CHECKING:
    import psycopg

SUPERUSER = "postgres"
OWNER = "mintage_owner"
APPLICATION = "mintage_app"


def prepare(superuser_url: str, database: str, passwords: Passwords) -> None:
    """Make roles and database where they are missing; may be repeated after a crash."""
    import psycopg  # noqa: PLC0415 - a warm start gets by without these 0.2 s
    from psycopg import sql  # noqa: PLC0415

    with psycopg.connect(superuser_url, autocommit=True, connect_timeout=10) as connection:
        _role(connection, OWNER, passwords.owner)
        _role(connection, APPLICATION, passwords.application)
        name = sql.Identifier(database)
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [database])
        if not found.rowcount:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(OWNER))
            )
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        connection.execute(
            sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                name, sql.Identifier(APPLICATION)
            )
        )


def _role(connection: "psycopg.Connection", role: str, password: str) -> None:
    from psycopg import sql  # noqa: PLC0415 - see prepare

    # Hashed here, so that no statement, and no log of one, holds the password.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
    verb = sql.SQL("ALTER" if found.rowcount else "CREATE")
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
            verb, sql.Identifier(role), sql.Literal(verifier)
        )
    )
