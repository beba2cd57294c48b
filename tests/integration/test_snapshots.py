"""A snapshot of another shape is not read, and gives way to one of ours."""

import gc
from unittest.mock import patch

import psycopg
import pytest

import databases
from ledger import accounts, snapshots
from ledger.account import Account, Pace
from ledger.accounts import SNAPSHOT_COLD_MIN
from ledger.log import select_tails
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


def test_who_has_loaded_a_cold_account_spares_the_next_its_tail(
    database: databases.Database,
) -> None:
    def kept() -> list[tuple[str, int]]:
        with psycopg.connect(database.url) as connection:
            return connection.execute(
                "SELECT account_id, version FROM account_snapshots"
            ).fetchall()

    with running(database.url) as ledger:
        for name in ("ann", "ben"):
            ledger.record(plain(opening(name, tokens=100)))
        for amount in range(1, SNAPSHOT_COLD_MIN):
            ledger.record(plain(grant(amount)))
        assert kept() == []  # in memory, and not for long enough
        before = ledger.account("ann")
    with running(database.url) as ledger:
        ledger.record(plain(grant(1, "ben")))
        ledger.record(plain(grant(1, "ann")))
        assert kept() == [("ann", before.version + 1)]
        ledger.record(plain(grant(1, "ann")))
        assert kept() == [("ann", before.version + 1)]
        assert ledger.account("ann").settled == before.settled + 2


def test_many_cold_accounts_are_loaded_a_few_at_a_time(
    database: databases.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a disk a single statement for all of them may take longer than it may."""
    monkeypatch.setattr(snapshots, "LOADED_AT_ONCE", 2)
    with running(database.url) as ledger:
        for number in range(1, 6):
            ledger.record(plain(opening(f"a{number}", tokens=number)))
    names = [f"a{number}" for number in range(6)]
    with (
        psycopg.connect(database.url) as connection,
        patch.object(snapshots, "select_tails", wraps=select_tails) as tails,
    ):
        loaded = snapshots.load(connection, names)
    assert [loaded[name].settled for name in names] == [0, 1, 2, 3, 4, 5]
    assert [len(call.args[1]) for call in tails.call_args_list] == [2, 2, 2]


def test_accounts_that_were_not_asked_for_lately_fall_out_and_are_loaded_again(
    database: databases.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "CACHED_MAX", 2)
    with running(database.url) as ledger:
        for name in ("ann", "ben", "cid"):
            ledger.record(plain(opening(name, tokens=100)))
        with patch.object(snapshots, "load", wraps=snapshots.load) as load:
            for name, settled, loads in (
                ("cid", 101, 0),
                ("ann", 101, 1),  # and ben falls out
                ("cid", 102, 1),
                ("ben", 101, 2),
                ("ann", 102, 3),
            ):
                assert ledger.record(plain(grant(1, name))).settled == settled
                assert (name, load.call_count) == (name, loads)


def test_no_account_is_walked_by_the_collector() -> None:
    assert not gc.is_tracked(Account(account_id="ann"))
    assert not gc.is_tracked(Pace())
