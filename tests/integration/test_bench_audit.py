"""What the benchmark asks is a log that the ledger could have written."""

import psycopg
import pytest

from api.bench.audit_log import LONG, fill
from databases import Database
from histories import read_log
from ledger.account import Account, evolve
from ledger.facts import GenerationRequested
from ledger.identity import ending_id

EVENTS = 12_000


def test_the_log_of_the_benchmark_folds(database: Database) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        length = fill(owner, EVENTS)
        assert fill(owner, EVENTS) == length
        with pytest.raises(ValueError, match="long"):
            fill(owner, 2 * EVENTS)
    entries = read_log(database.url)
    assert abs(length - EVENTS) <= 2
    assert [entry.position for entry in entries] == list(range(1, length + 1))
    accounts: dict[str, Account] = {}
    ids = {entry.fact_id for entry in entries}
    last = entries[0].at
    for entry in entries:
        assert entry.at >= last
        last = entry.at
        before = accounts.get(entry.account_id, Account(account_id=entry.account_id))
        after = evolve(before, entry.fact, entry.at)
        told = (entry.version, entry.settled, entry.held)
        assert (after.version, after.settled, after.held) == told, entry
        accounts[entry.account_id] = after
        if isinstance(entry.fact, GenerationRequested):
            assert entry.fact_id == entry.fact.generation_id
            assert ending_id(entry.fact_id) in ids
    assert len(accounts) == EVENTS // 200 + 1
    assert accounts[LONG].version >= 5_000
