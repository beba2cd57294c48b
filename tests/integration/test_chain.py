"""The chain: what a block covers, when it is closed, and that several may close it."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

import plain_chain
from chained import connected, findings, grow, grow_blocks
from databases import Database
from ledger.chain import blocks, chainer, failing
from ledger.chain.blocks import advance, canonical_bytes, catch_up, chain_end, close
from ledger.chain.chainer import Chainer
from ledger.chain.checking import check
from ledger.chain.errors import MissingRowError, UnreadableRowError
from ledger.chain.rows import read_rows
from ledger_running import running, wait_until
from ledger_samples import opening, plain
from ledger_writer import writing

NASTY = (
    '{"a": 1.0, "b": 1, "c": 1.00, "d": 1e400, "e": 9007199254740993, "f": 0.0000001}',
    '{"z": "梦\\u0001\\"\\\\", "a": {"b": [null, true, {}, []]}, "": "\U0001f600\uffff"}',
    "[1, [2, [3]]]",
    '"a text"',
    "null",
    "-0.0",
)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with connected(database.url) as connection:
        yield connection


@contextmanager
def chaining(database: Database, *, age_seconds: float = 0.0) -> Iterator[Chainer]:
    stop = threading.Event()
    chained = Chainer(database.url, age_seconds=age_seconds)
    thread = threading.Thread(target=chained.run, args=(stop,))
    thread.start()
    try:
        yield chained
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_a_log_without_events_has_a_chain_without_blocks(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    at = chain_end(connection)
    assert (at.block, at.position, at.head, at.unchained, at.is_stuck) == (0, 0, 0, 0, False)
    assert at.hash == plain_chain.genesis(plain_chain.log_id(database.url))
    assert advance(connection, age_seconds=0) == 0
    assert catch_up(connection) == at or catch_up(connection).position == 0
    assert findings(database.url) == []


def test_the_hash_is_what_the_definition_says(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    grow_blocks(database, blocks=3)
    rows = plain_chain.read_rows(database.url)
    links = plain_chain.links(plain_chain.genesis(plain_chain.log_id(database.url)), rows)
    kept = connection.execute("SELECT links, hash FROM ledger_chain ORDER BY block").fetchall()
    assert b"".join(links_of for links_of, _ in kept) == b"".join(links)
    at = chain_end(connection)
    assert (at.block, at.position, at.hash) == (3, len(rows), links[-1])
    assert findings(database.url) == []


def test_the_hash_does_not_depend_on_the_blocks(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    at = grow_blocks(database, blocks=3)
    plain_chain.tamper(database.superuser_url, "DELETE FROM ledger_chain")
    again = catch_up(connection)
    assert (again.block, again.position, again.hash) == (1, at.position, at.hash)


@pytest.mark.parametrize("data", NASTY)
def test_nasty_rows_have_one_hash_in_every_session(database: Database, data: str) -> None:
    grow(database, commands=20)
    plain_chain.tamper(
        database.superuser_url,
        "INSERT INTO ledger_events SELECT max(position) + 1, E'a\\t梦', 9223372036854775807, '',"
        " '1970-01-01 00:00:00.000001+00', '', gen_random_uuid(), NULL,"
        " '00000000-0000-0000-0000-000000000000', 0, 0, %s FROM ledger_events",
        data,
    )
    expected = [plain_chain.row_bytes(row) for row in plain_chain.read_rows(database.url)]
    for settings in (
        (),
        ("SET TimeZone = 'Asia/Kolkata'", "SET DateStyle = 'German'"),
        ("SET extra_float_digits = -10", "SET bytea_output = 'escape'"),
        ("SET IntervalStyle = 'iso_8601'", "SET quote_all_identifiers = on"),
    ):
        with psycopg.connect(database.url) as connection:
            for setting in settings:
                connection.execute(setting.encode())
            found = [canonical_bytes(row) for row in read_rows(connection, 1, len(expected))]
        assert found == expected


def test_a_session_in_another_encoding_is_refused(database: Database) -> None:
    with (
        psycopg.connect(database.url, client_encoding="latin1") as connection,
        pytest.raises(psycopg.NotSupportedError, match="UTF8"),
    ):
        list(read_rows(connection, 1, 1))


def test_a_young_block_waits_until_it_is_full(
    database: Database, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(database, commands=60)
    head = chain_end(connection).head
    assert head > 16
    assert advance(connection) == 0
    monkeypatch.setattr(blocks, "BLOCK_MAX", 8)
    closed = 0
    while moved := advance(connection):
        assert moved == 8
        closed += 1
    at = chain_end(connection)
    assert (at.block, at.position) == (closed, head - head % 8)
    assert at.unchained == head % 8
    assert at.waiting_seconds is None or at.waiting_seconds < 60
    assert catch_up(connection).position == head
    assert findings(database.url) == []


def grow_to(database: Database, head: int) -> None:
    """Many events at once: an opening, and a grant again and again."""
    with running(database.url) as ledger:
        ledger.record(plain(opening(tokens=5)))
    plain_chain.tamper(
        database.superuser_url,
        "INSERT INTO ledger_events SELECT n, 'ann', n, topic, at, actor, gen_random_uuid(), NULL,"
        " NULL, settled, held, data FROM ledger_events, generate_series(3, %s) AS n"
        " WHERE position = 2",
        head,
    )


def test_a_full_block_has_4096_positions_and_no_more(database: Database) -> None:
    grow_to(database, 9000)
    with connected(database.url) as connection:
        assert [advance(connection), advance(connection), advance(connection)] == [4096, 4096, 0]
        assert catch_up(connection).position == 9000
        ends = connection.execute(
            "SELECT first_position, last_position FROM ledger_chain ORDER BY block"
        ).fetchall()
    assert ends == [(1, 4096), (4097, 8192), (8193, 9000)]
    assert findings(database.url) == []


def test_who_comes_second_goes_on_quietly(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    grow(database)
    at = chain_end(connection)
    with connected(database.url) as other:
        assert close(other, at) == at.head
    assert close(connection, at) == 0
    assert advance(connection, age_seconds=0) == 0
    assert chain_end(connection).block == 1


def test_the_table_itself_refuses_a_fork_a_gap_and_another_past(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    at = grow_blocks(database, blocks=2)
    grow(database, seed=3)
    row = (at.block + 1, at.position + 1, at.position + 1, at.hash, bytes(32), bytes(32))
    insert = (
        b"INSERT INTO ledger_chain (block, first_position, last_position, previous_hash, hash,"
        b" links) VALUES (%s, %s, %s, %s, %s, %s)"
    )
    for change in (
        {0: at.block},  # a second block of that number
        {0: at.block + 2},  # a block left out
        {0: 0},
        {0: 1, 1: at.position + 1},
        {1: at.position + 2, 2: at.position + 2},  # a position left out
        {1: at.position, 2: at.position},  # a position twice
        {1: 1, 2: 1},
        {2: at.position},  # backwards
        {2: at.position + 2},  # more positions than links
        {2: at.position + 4097, 5: bytes(32 * 4097)},  # too many
        {3: bytes(32)},  # another past
        {3: at.hash[:-1]},
        {4: bytes([1]) * 32},  # not what the last link says
        {5: bytes(31)},
    ):
        values = [change.get(number, value) for number, value in enumerate(row)]
        with pytest.raises(psycopg.IntegrityError):
            connection.execute(insert, values)
    connection.execute(insert, row)  # else the values above proved nothing
    assert [each.kind for each in findings(database.url)] == ["changed"]


def test_a_missing_row_stops_the_chain_and_is_named(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    at = grow_blocks(database, blocks=1)
    grow(database, seed=2)
    gone = at.position + 3
    plain_chain.tamper(
        database.superuser_url, "DELETE FROM ledger_events WHERE position = %s", gone
    )
    with pytest.raises(MissingRowError) as raised:
        advance(connection, age_seconds=0)
    assert raised.value.position == gone
    with pytest.raises(MissingRowError):
        catch_up(connection)
    assert chain_end(connection).position == at.position
    found = findings(database.url)
    assert [(each.kind, each.position, each.block) for each in found] == [("missing", gone, 2)]
    # The first one after the chain has no age any more, and is told of all the same.
    plain_chain.tamper(
        database.superuser_url,
        "DELETE FROM ledger_events WHERE position = %s",
        at.position + 1,
    )
    with pytest.raises(MissingRowError):
        advance(connection)


def test_a_row_without_canonical_bytes_stops_the_chain(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    grow(database)
    plain_chain.tamper(
        database.superuser_url,
        "UPDATE ledger_events SET data = %s WHERE position = 5",
        "[" * 3000 + "]" * 3000,
    )
    with pytest.raises(UnreadableRowError) as raised:
        advance(connection, age_seconds=0)
    assert raised.value.position == 5


def test_an_interrupted_read_leaves_the_connection_usable(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    grow(database)
    for row in read_rows(connection, 1, 50):
        if row.position == 3:
            break
    assert [row.position for row in read_rows(connection, 4, 6)] == [4, 5, 6]


def test_ranges_of_blocks_can_be_checked_apart(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    grow_blocks(database, blocks=4, commands=30)
    assert [list(check(connection, n, n)) for n in (1, 2, 3, 4)] == [[], [], [], []]
    assert list(check(connection, 3)) == []
    plain_chain.tamper(
        database.superuser_url,
        "UPDATE ledger_events SET actor = 'x' WHERE position ="
        " (SELECT last_position FROM ledger_chain WHERE block = 3)",
    )
    assert [len(list(check(connection, n, n))) for n in (1, 2, 3, 4)] == [0, 0, 1, 0]
    assert [each.block for each in check(connection, 2)] == [3]
    assert [each.kind for each in check(connection, 4, 6)] == ["block_missing"]


def test_a_check_sees_one_snapshot_beside_writers(database: Database) -> None:
    grow_blocks(database, blocks=2)
    with psycopg.connect(database.url) as reading:
        reading.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        before = chain_end(reading)
        grow_blocks(database, blocks=1)
        assert list(check(reading)) == []
        assert (chain_end(reading).block, chain_end(reading).head) == (before.block, before.head)


def test_chainers_beside_writers_lose_no_position(
    database: Database, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chainer, "POLL_SECONDS", 0.02)
    with (
        writing(database.url, processes=2, pause_seconds=0.002),
        chaining(database) as one,
        chaining(database) as other,
    ):
        wait_until(lambda: chain_end(connection).block >= 20, "twenty blocks")
    assert (one.failure, other.failure) == (None, None)
    assert catch_up(connection).unchained == 0
    assert findings(database.url) == []
    row = connection.execute(
        "SELECT count(*), max(last_position), sum(last_position - first_position + 1)"
        " FROM ledger_chain"
    ).fetchone()
    assert row is not None
    assert row[1] == row[2] == chain_end(connection).head


def test_blocks_closed_at_one_moment_are_closed_once(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    grow(database, commands=200)
    at = chain_end(connection)
    barrier = threading.Barrier(6)

    def race() -> int:
        with connected(database.url) as mine:
            barrier.wait(60)
            return close(mine, at)

    with ThreadPoolExecutor(6) as threads:
        results = [each.result(60) for each in [threads.submit(race) for _ in range(6)]]
    assert sorted(results) == [0, 0, 0, 0, 0, at.head]
    assert chain_end(connection).block == 1


def test_a_chainer_says_why_it_stands_still_and_goes_on_by_itself(
    database: Database, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chainer, "POLL_SECONDS", 0.02)
    grow(database)
    keep = "CREATE TABLE kept AS SELECT * FROM ledger_events WHERE position = 4"
    plain_chain.tamper(database.superuser_url, keep)
    plain_chain.tamper(database.superuser_url, "DELETE FROM ledger_events WHERE position = 4")
    with chaining(database) as chained:
        wait_until(lambda: failing.failure(connection), "the failure")
        found = failing.failure(connection)
        assert found is not None
        assert (found.position, found.problem) == (0, "the row at position 4 is gone")
        wait_until(lambda: chained.failure == "the row at position 4 is gone", "the chainer's word")
        plain_chain.tamper(database.superuser_url, "INSERT INTO ledger_events SELECT * FROM kept")
        wait_until(lambda: chain_end(connection).unchained == 0, "the chain")
        wait_until(lambda: chained.failure is None, "the chainer's word")
    assert failing.failure(connection) is None


def test_a_chainer_outlives_its_connection(
    database: Database, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chainer, "POLL_SECONDS", 0.02)
    with chaining(database), connected(database.superuser_url) as admin:
        for seed in range(3):
            grow(database, seed=seed, commands=20)
            wait_until(lambda: chain_end(connection).unchained == 0, "the chain")
            ended = admin.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'mintage chainer' AND datname = current_database()"
            ).fetchone()
            assert ended == (1,)
    assert findings(database.url) == []


def test_a_chainer_rests_so_that_the_views_come_first(
    database: Database, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chainer, "REST_SECONDS", 0.02)
    grow_to(database, blocks.BLOCK_MAX)
    started = time.monotonic()
    with chaining(database):
        wait_until(lambda: chain_end(connection).block, "a block")
    assert time.monotonic() - started >= 0.02 * (blocks.BLOCK_MAX // blocks.REST_ROWS - 1)


def test_a_stuck_chain_is_known_by_its_silence(
    database: Database, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = grow_blocks(database, blocks=1)
    assert not at.is_stuck
    monkeypatch.setattr(blocks, "STUCK_SECONDS", 0.0)
    assert not chain_end(connection).is_stuck  # nothing waits
    grow(database, seed=2)
    wait_until(lambda: chain_end(connection).is_stuck, "its being stuck")
    advance(connection, age_seconds=0)
    assert not chain_end(connection).is_stuck
