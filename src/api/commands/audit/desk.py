"""Where the audit commands ask: the database, as its application, with reads recorded."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import psycopg

from api.launch.quiet import quiet_logs
from api.opening import check_migrated, opened
from api.problems.refusals import InvalidInputError
from api.settings import Settings
from api.texts.plain import one_line


@contextmanager
def desk() -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode to the database that the settings name."""
    given = Settings.from_environ(os.environ)
    quiet_logs(given)
    with opened(given) as settings:
        url = settings.database_url or ""
        check_migrated(url)
        with psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=10,
            application_name="mintage audit",
            options="-c timezone=UTC",
        ) as connection:
            yield connection


@contextmanager
def usage() -> Iterator[None]:
    """What breaks the API's own rules is bad usage here, with the option named."""
    try:
        yield
    except InvalidInputError as error:
        told = (f"--{each.field}: {each.message.text('en')}" for each in error.fields)
        raise click.UsageError("; ".join(told)) from None


def printable(*lines: str) -> str:
    """The lines, without what would make more of them: others have written some of it."""
    return "\n".join(map(one_line, lines))
