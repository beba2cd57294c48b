"""Verifications in tests, and the means to make them find something."""

from typing import Any

import psycopg

from databases import Database
from projections.verify.finding import Finding
from projections.verify.report import Report
from projections.verify.verification import Verification


def verified(url: str, **options: Any) -> tuple[list[Finding], Report]:
    """What is found, and what that is worth."""
    verification = Verification(url, **options)
    return list(verification.run()), verification.report


def told(findings: list[Finding]) -> list[tuple[str, str | None, str | None, int | None]]:
    """Kind, view, account and position of each."""
    return [(each.kind, each.view, each.account_id, each.position) for each in findings]


def tamper(database: Database, *statements: str) -> None:
    """As whoever can do anything: without triggers, foreign keys or the guards of the log."""
    with psycopg.connect(database.superuser_url, autocommit=True) as anyone:
        anyone.execute("SET session_replication_role = replica")
        for statement in statements:
            done = anyone.execute(statement.encode())
            assert done.rowcount != 0, statement
