"""`mintage audit account|balance|generation` as real processes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from rich.cells import cell_len

import histories
import mintage
from databases import Database, temporary_home
from ledger.commands import OpenAccount, ReleaseGeneration
from ledger.ledger import Ledger


class Told(NamedTuple):
    """A small history, and how to ask about it."""

    home: Path
    urls: dict[str, str]
    charged: str
    held: str

    def run(self, *arguments: str) -> str:
        done = mintage.run("audit", *arguments, home=self.home, **self.urls, COLUMNS="60")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return mintage.run_json("audit", *arguments, home=self.home, **self.urls)


@pytest.fixture
def told(database: Database) -> Iterator[Told]:
    with Ledger(database.url) as ledger, psycopg.connect(database.url, autocommit=True) as beside:
        histories.record(ledger, OpenAccount(account_id="ann", is_member=True, tokens=100))
        beside.execute(
            "INSERT INTO profiles (account_id, email, name)"
            " VALUES ('ann', 'ann@example.com', '[bold]安 \x1b[31m')"
        )
        charged, failed, held = (histories.request("ann", cost=c) for c in (5, 7, 9))
        for asked in (charged, failed, held):
            histories.record(ledger, asked)
        histories.settle(ledger, charged)
        release = ReleaseGeneration(
            account_id="ann",
            generation_id=failed.generation_id,
            reason="timeout",
            retryable=True,
        )
        histories.record(ledger, release)
    with temporary_home() as home:
        urls = {"DATABASE_URL": database.url, "MIGRATION_DATABASE_URL": database.owner_url}
        yield Told(home, urls, str(charged.generation_id), str(held.generation_id))


def test_an_account_is_told_in_words_and_as_json(told: Told, database: Database) -> None:
    text = told.run("account", "ann")
    for words in (
        "ann <ann@example.com>",
        "[bold]安 \ufffd[31m, user, member",
        "7 events, 1 images, 1 open holds",
        "generations: 1 succeeded, 1 failed, 0 canceled, 1 open",
        "Account ann: 86 tokens available.",
        "100 − 5 = 95 settled",
        "95 settled − 9 held = 86 available",
        "TokensConsumed",
        "AccountOpened",
    ):
        assert words in text
    table = text[text.index("event, at (UTC)") :]
    assert all(cell_len(line) <= 60 for line in table.splitlines())
    document = told.json("account", "ann", "--limit", "2")
    assert document["account"]["counts"]["events"] == 7
    assert document["explanation"]["available"] == 86
    assert [line["type"] for line in document["timeline"]] == [
        "GenerationFailed",
        "TokensConsumed",
    ]
    with psycopg.connect(database.url) as connection:
        reads = connection.execute(
            "SELECT reader, what, account_id FROM audit_reads ORDER BY id"
        ).fetchall()
    looks = ["account", "explanation", "timeline"] * 2
    assert reads == [("cli", what, "ann") for what in looks]


def test_a_balance_then_is_told_in_words_and_as_json(told: Told, database: Database) -> None:
    text = told.run("balance", "ann", "--position", "4")
    assert "ann: 88 tokens available" in text
    assert "100 settled − 12 held = 88 available" in text
    assert "after event 4 of the log" in text
    assert "held 5: 梦幻森林" in text
    document = told.json("balance", "ann", "--position", "5")
    assert document["open_holds"][0]["generation_id"] == told.held
    assert document["open_holds_complete"]
    at = document["at"]
    assert told.json("balance", "ann", "--at", at) == document
    with psycopg.connect(database.url) as connection:
        reads = connection.execute(
            "SELECT what, account_id, query->>'position' FROM audit_reads ORDER BY id"
        ).fetchall()
    assert reads == [("balance", "ann", place) for place in ("4", "5", None)]


def test_a_generation_is_told_in_words_and_as_json(told: Told) -> None:
    text = told.run("generation", told.charged)
    assert f"generation {told.charged}" in text
    assert "of ann: succeeded" in text
    assert "asked for by cli: 5 held" in text
    assert "succeeded by cli: 5 charged" in text
    assert "in the log: 3 GenerationRequested, 6 TokensConsumed" in text
    assert told.json("generation", told.held)["status"] == "queued"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("account", "nobody"), 1, "there is no account 'nobody'"),
        (("account", "no body"), 1, "there is no account 'no body'"),
        (("account",), 2, "ACCOUNT_ID"),
        (("account", "ann", "--limit", "0"), 2, "--limit"),
        (("balance", "nobody", "--position", "1"), 1, "there is no account 'nobody'"),
        (("balance", "ann"), 2, "--at: A time or a position is required."),
        (("balance", "ann", "--at", "2026-01-01T00:00:00Z", "--position", "1"), 2, "--at"),
        (("balance", "ann", "--at", "noon"), 2, "--at: Must be a time"),
        (("balance", "ann", "--at", "2020-01-01T00:00:00Z"), 2, "--at: The account began"),
        (("balance", "ann", "--at", "2999-01-01T00:00:00Z"), 2, "--at: Lies in the future."),
        (("balance", "ann", "--position", "0"), 2, "--position"),
        (("balance", "ann", "--position", "99"), 2, "--position: The log ends at position 7."),
        (("generation", "nonsense"), 2, "GENERATION_ID"),
        (("generation", "01930000-0000-7000-8000-000000000001"), 1, "there is no generation"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(
    told: Told, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = mintage.run("audit", *arguments, home=told.home, **told.urls)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
