"""A snapshot of another shape is not read, and gives way to one of ours."""

import psycopg

import databases
from ledger import snapshots
from ledger_running import running
from ledger_samples import grant, opening, plain

WRONG = """
INSERT INTO account_snapshots (account_id, version, shape, state)
VALUES ('ann', 2, %s, '{"account_id": "ann", "version": 2, "is_open": true, "settled": 999}')"""


def test_a_snapshot_of_another_shape_is_passed_over(database: databases.Database) -> None:
    with running(database.url) as ledger:
        ledger.record(plain(opening(tokens=100)))
        ledger.record(plain(grant(1)))
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(WRONG, (snapshots.SHAPE - 1,))
            assert ledger.account("ann").settled == 101
            account = ledger.account("ann")
            document = snapshots.encode_snapshots([account])
            connection.execute(snapshots.SAVE.format("%s").encode(), (document,))
            assert connection.execute(
                "SELECT version, shape FROM account_snapshots"
            ).fetchall() == [(3, snapshots.SHAPE)]


def test_a_snapshot_of_our_shape_is_where_folding_begins(database: databases.Database) -> None:
    with running(database.url) as ledger:
        ledger.record(plain(opening(tokens=100)))
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(WRONG, (snapshots.SHAPE,))
        assert ledger.account("ann").settled == 999
