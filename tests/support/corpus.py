"""Rows of the log as their versions wrote them, frozen; each version adds a file of its own."""

import hashlib
from pathlib import Path

import psycopg

DATA = Path(__file__).parents[1] / "data"

FROZEN = {
    "ledger_rows_1.jsonl": "5d3516e1332ad3b0a89096fb2be7dd28eafc61ab6aa16092ca25843642dcb0ff",
    "ledger_rows_2.jsonl": "4f80502257820277b82442c057a49753e024085eced785d97eba920dfae48fc9",
}
"""Each file's SHA-256. They live for ever: add a file, never change one."""

CHAINS = {
    "ledger_rows_1.jsonl": "a36b9bd0a00d682ea0b6dc30039039ceed880388e02ade9c449366f21a28b7d8",
    "ledger_rows_2.jsonl": "1472b5eb3cde9014f268d234b248903669e364e1322065213aaa814694100f3c",
}
"""The running hash after each file's rows, in a log whose id is `ledger_samples.FIRST`."""


def sha256(name: str) -> str:
    return hashlib.sha256((DATA / name).read_bytes()).hexdigest()


def rows(name: str) -> list[str]:
    # Not `splitlines`: a text may hold one of Unicode's own line ends.
    return (DATA / name).read_text(encoding="utf-8").rstrip("\n").split("\n")


def insert(url: str, documents: list[str]) -> None:
    """Write the rows as they are, as their version had written them."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ledger_events"
            " SELECT * FROM jsonb_populate_record(NULL::ledger_events, %s::jsonb)",
            [(document,) for document in documents],
        )
