"""What the benchmarks read is a log that the ledger itself could have written."""

import click
import psycopg
import pytest

import databases
from api.bench.history import LONG_ACCOUNT, ensure_history
from histories import read_log
from ledger.account import Account
from ledger.facts import (
    FACT_TYPES,
    GenerationFailed,
    GenerationRequested,
    TokensConsumed,
    TokensGranted,
)
from ledger.identity import ending_id, refund_id
from ledger.snapshots import follow

EVENTS = 2_000


def test_it_is_valid_and_has_every_kind(database: databases.Database) -> None:
    ensure_history(database.owner_url, EVENTS)
    log = read_log(database.url)
    assert [entry.position for entry in log] == list(range(1, EVENTS + 1))
    assert [entry.at for entry in log] == sorted(entry.at for entry in log)
    assert {entry.fact.TOPIC for entry in log} == set(FACT_TYPES)
    accounts: dict[str, Account] = {}
    for entry in log:
        before = accounts.get(entry.account_id) or Account(account_id=entry.account_id)
        accounts[entry.account_id] = follow(before, entry)
        match entry.fact:
            case GenerationRequested():
                assert entry.fact_id == entry.fact.generation_id
                assert entry.fact_id.version == 7
            case TokensConsumed() | GenerationFailed():
                assert entry.fact_id == ending_id(entry.fact.generation_id)
            case TokensGranted(reason="refund"):
                assert entry.fact.generation_id is not None
                assert entry.fact_id == refund_id(entry.fact.generation_id)
            case _:
                assert entry.fact_id.version == 7
    assert not any(account.holds for account in accounts.values())
    assert max(accounts.values(), key=lambda each: each.version).account_id == LONG_ACCOUNT


def test_its_table_is_as_the_migrations_made_it(database: databases.Database) -> None:
    before = _shape(database.owner_url)
    ensure_history(database.owner_url, EVENTS)
    assert _shape(database.owner_url) == before


def test_it_is_made_once(database: databases.Database) -> None:
    ensure_history(database.owner_url, EVENTS)
    ensure_history(database.owner_url, EVENTS)
    with pytest.raises(click.ClickException, match="2000 events already"):
        ensure_history(database.owner_url, EVENTS + 1_000)
    assert len(read_log(database.url)) == EVENTS


def _shape(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("""
            SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conrelid = 'ledger_events'::regclass
            UNION ALL
            SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'ledger_events'
            ORDER BY 1, 2""").fetchall()
