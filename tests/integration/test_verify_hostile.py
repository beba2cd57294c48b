"""What somebody would do so that a verification fails, or passes over something."""

# ruff: noqa: S608 - statements of ours
from typing import Any

import psycopg
import pytest

import histories
from databases import Database
from ledger.ledger import Ledger
from projections.advance import advance
from projections.verify import log
from verifying import tamper, told, verified

LAST_CHARGE = "(SELECT max(position) FROM ledger_events WHERE topic = 'tokens_consumed:1')"
UNREADABLE = {
    "a number that is a text": "data = jsonb_set(data, '{cost}', '\"x\"')",
    "a number beyond bounds": f"data = jsonb_set(data, '{{cost}}', '{'9' * 5_000}')",
    "no object": "data = '[]'",
    "nested too deep": f"data = jsonb_set(data, '{{z}}', '{'[' * 3_000 + ']' * 3_000}')",
    "a time without end": "at = 'infinity'",
    "a time before Christ": "at = '0044-03-15 12:00:00+00 BC'",
    "a topic with a tab": r"topic = E'tokens_consumed:1\t'",
}


class Whatever:
    """A storage that has whatever is asked for."""

    def size(self, key: str) -> int | None:
        del key
        return 1

    def digest(self, key: str) -> tuple[int, str] | None:
        return (9, "cd") if key == "r/1.png" else (1234, "ab" * 32)


@pytest.fixture
def written(database: Database) -> Database:
    with Ledger(database.url) as ledger:
        histories.History(ledger, 11).write(300)
    level(database)
    return database


def level(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        while advance(connection):
            pass


def as_anyone(database: Database, statement: str, *values: Any) -> None:
    with psycopg.connect(database.superuser_url, autocommit=True) as anyone:
        anyone.execute(statement.encode(), values or None)


@pytest.mark.parametrize("change", UNREADABLE)
def test_a_row_that_cannot_be_read_is_told_and_ends_nothing(written: Database, change: str) -> None:
    statement = f"UPDATE ledger_events SET {UNREADABLE[change]} WHERE position = {LAST_CHARGE}"
    tamper(written, statement, "UPDATE balances SET settled = settled + 1")
    findings, report = verified(written.url, objects=Whatever())
    (unreadable,) = [each for each in findings if each.kind == "unreadable"]
    others = {each.account_id for each in findings if each.kind == "row_differs"}
    assert len(others) == 4
    assert unreadable.account_id not in others
    assert report.status == "incomplete"
    assert "a fact that cannot be read" in report.incomplete[0]
    assert len(report.incomplete) == 1
    assert report.objects > 10


@pytest.mark.parametrize("version", [0, -1])
def test_a_snapshot_of_a_version_that_never_was(written: Database, version: int) -> None:
    """The committer reads it all the same, and would spend what it says."""
    with Ledger(written.url) as ledger:
        histories.History(ledger, 1, accounts=1).write(1_000)
    level(written)
    assert verified(written.url)[1].status == "ok"
    tamper(
        written,
        f"UPDATE account_snapshots SET version = {version}, "
        "state = jsonb_set(state, '{settled}', '999999') "
        "WHERE account_id = (SELECT max(account_id) FROM account_snapshots)",
    )
    findings, _ = verified(written.url)
    assert [each.kind for each in findings] == ["snapshot_differs"]


def test_rows_that_are_kept_from_us_are_not_taken_for_none(written: Database) -> None:
    tamper(
        written,
        "INSERT INTO balances SELECT 'carl', is_member, settled, held, version, position "
        "FROM balances LIMIT 1",
        "ALTER TABLE balances ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY hides ON balances FOR SELECT USING (account_id <> 'carl')",
    )
    findings, report = verified(written.url)
    assert (findings, report.status) == ([], "incomplete")
    assert "row-level security" in report.incomplete[0]


@pytest.mark.parametrize("processes", [1, 3])
def test_rows_of_no_account_at_all(written: Database, processes: int) -> None:
    tamper(
        written,
        "ALTER TABLE transactions DROP CONSTRAINT transactions_pkey",
        "ALTER TABLE transactions ALTER COLUMN account_id DROP NOT NULL",
        "INSERT INTO transactions SELECT 0, NULL, type, amount, balance FROM transactions LIMIT 1",
    )
    findings, report = verified(written.url, processes=processes)
    assert told(findings) == [("account_unknown", "transactions", None, 0)]
    assert report.status == "findings"


@pytest.mark.parametrize("name", ["a\\b", "tab\tx", "nl\ny", "é", "", "\\N", "\\.", "~~~"])
@pytest.mark.parametrize("processes", [1, 3])
def test_accounts_of_any_name_are_found_and_disturb_no_other(
    written: Database, name: str, processes: int
) -> None:
    as_anyone(
        written,
        "INSERT INTO balances SELECT %s, is_member, settled, held, version, position "
        "FROM balances LIMIT 1",
        name,
    )
    findings, report = verified(written.url, processes=processes)
    assert [(each.kind, each.account_id) for each in findings] == [("account_unknown", name)]
    assert report.status == "findings"


GUARDS = {
    "a function that refuses nothing": (
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RETURN NULL; END; $$"
    ),
    "a trigger on fewer changes": (
        "CREATE OR REPLACE TRIGGER ledger_events_append_only BEFORE DELETE OR TRUNCATE "
        "ON ledger_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    ),
    "a trigger that looks away": (
        "CREATE OR REPLACE TRIGGER ledger_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
        "ON ledger_events FOR EACH STATEMENT WHEN (now() < 'epoch') "
        "EXECUTE FUNCTION refuse_change()"
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_that_guards_nothing_is_missing(written: Database, guard: str) -> None:
    as_anyone(written, GUARDS[guard])
    findings, _ = verified(written.url)
    (finding,) = findings
    assert finding.kind == "guard_missing"
    assert "ledger_events_append_only" in finding.detail


def test_more_out_of_order_than_are_looked_at(
    written: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "ROWS_MAX", 3)
    monkeypatch.setattr(log, "_OUT_OF_ORDER", log._OUT_OF_ORDER.replace("2000 + 1", "4"))
    tamper(written, "UPDATE ledger_events SET position = -position - 100_000")
    tamper(written, "UPDATE ledger_events SET position = 2 * (position + 200_000)")
    findings, report = verified(written.url, views=[])
    assert [each.kind for each in findings].count("position_gap") == 3
    assert "more than 3 rows of the log are out of order" in report.incomplete[0]
