"""What an error leaves in the log: where and what, and nobody's data."""

import logging
from collections.abc import Iterator

import psycopg
import pytest
import structlog

from api import logs
from api.settings import Settings
from databases import Database


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["console", "json"])
def test_neither_variables_nor_rows(
    database: Database, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    logs.configure(Settings.from_environ({"LOG_FORMAT": form}))
    log = structlog.get_logger("test")

    def insert(connection: psycopg.Connection, account_id: str, address: str) -> None:
        statement = "INSERT INTO profiles (account_id, email) VALUES (%s, %s)"
        connection.execute(statement, (account_id, address))

    def fail(secret: str) -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            insert(connection, "ann", f"ann-{secret}@example.com")
            try:
                insert(connection, "bob", f"ann-{secret}@example.com")
            except psycopg.Error as error:
                raise RuntimeError(f"no: {error}") from error

    try:
        fail("hush" + "hush")
    except RuntimeError:
        log.exception("failed")
    told = capsys.readouterr().err
    assert "hushhush" not in told
    assert "UniqueViolation: duplicate key value violates unique constraint" in told
    assert "RuntimeError" in told
    assert "in fail" in told


def test_an_error_without_a_driver_keeps_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings.from_environ({"LOG_FORMAT": "json"}))
    structlog.get_logger("test").error("failed", exc_info=ValueError("seven"))
    assert "builtins.ValueError: seven" in capsys.readouterr().err
