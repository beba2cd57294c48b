"""Somebody with every right in the database changes the log: what is found, and what is named."""

from collections.abc import Iterator

import pytest

import plain_chain
from chained import connected, findings, grow, grow_blocks
from databases import Database, TestServer
from ledger.chain.blocks import ChainEnd, catch_up
from plain_chain import tamper

# One byte, or the least that there is, in each column of one row.
CHANGES = {
    "account_id": "UPDATE ledger_events SET account_id = account_id || 'x' WHERE position = %s",
    "account_id, its case": "UPDATE ledger_events SET account_id = upper(account_id)"
    " WHERE position = %s",
    "version": "UPDATE ledger_events SET version = version + 1000 WHERE position = %s",
    "topic": "UPDATE ledger_events SET topic = topic || '1' WHERE position = %s",
    "at": "UPDATE ledger_events SET at = at + interval '1 microsecond' WHERE position = %s",
    "actor": "UPDATE ledger_events SET actor = actor || ' ' WHERE position = %s",
    "fact_id": "UPDATE ledger_events SET fact_id = gen_random_uuid() WHERE position = %s",
    "key_id": "UPDATE ledger_events SET key_id = gen_random_uuid() WHERE position = %s",
    "key_id, taken away": "UPDATE ledger_events SET key_id = NULL"
    " WHERE position = %s AND key_id IS NOT NULL",
    "input_hash": "UPDATE ledger_events SET input_hash = fact_id WHERE position = %s",
    "settled": "UPDATE ledger_events SET settled = settled + 1 WHERE position = %s",
    "held": "UPDATE ledger_events SET settled = settled + 1, held = held + 1 WHERE position = %s",
    "data, a value": "UPDATE ledger_events SET data = jsonb_set(data, '{amount}', '999999')"
    " WHERE position = %s",
    "data, a number's digits": "UPDATE ledger_events SET data = jsonb_set(data, '{amount}',"
    " ((data ->> 'amount') || '.0')::jsonb) WHERE position = %s",
    "data, a number as a text": "UPDATE ledger_events SET data = jsonb_set(data, '{amount}',"
    " to_jsonb(data ->> 'amount')) WHERE position = %s",
    "data, a member more": "UPDATE ledger_events SET data = data || '{\"x\": null}'"
    " WHERE position = %s",
    "data, a member less": "UPDATE ledger_events SET data = data - 'reason' WHERE position = %s",
    "data, another kind": "UPDATE ledger_events SET data = '[]' WHERE position = %s",
    "data, no form at all": "UPDATE ledger_events SET data ="
    " (repeat('[', 4000) || repeat(']', 4000))::jsonb WHERE position = %s",
}


@pytest.fixture(scope="module")
def original(database_server: TestServer) -> Iterator[tuple[Database, ChainEnd]]:
    with database_server.database() as database:
        yield database, grow_blocks(database, blocks=3, commands=60)


@pytest.fixture
def database(
    database_server: TestServer, original: tuple[Database, ChainEnd]
) -> Iterator[Database]:
    with database_server.database(like=original[0]) as copy:
        yield copy


@pytest.fixture
def chained(original: tuple[Database, ChainEnd]) -> ChainEnd:
    return original[1]


@pytest.fixture
def url(database: Database) -> str:
    return database.superuser_url


def named(database: Database) -> list[tuple[str, int, int | None, int | None]]:
    found = findings(database.url)
    return [(each.kind, each.block, each.position, each.last_position) for each in found]


def block_of(url: str, position: int) -> int:
    with connected(url) as connection:
        row = connection.execute(
            "SELECT block FROM ledger_chain WHERE %s BETWEEN first_position AND last_position",
            (position,),
        ).fetchone()
    assert row is not None
    return int(row[0])


def granted(url: str, at: ChainEnd) -> int:
    """A grant in the second block, with a key, so that each change changes something."""
    with connected(url) as connection:
        row = connection.execute(
            "SELECT position FROM ledger_events, ledger_chain WHERE block = 2"
            " AND position BETWEEN first_position AND last_position AND topic = 'tokens_granted:1'"
            " AND key_id IS NOT NULL AND position < %s LIMIT 1",
            (at.position,),
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_one_column_is_found_and_its_position_named(
    database: Database, url: str, chained: ChainEnd, change: str
) -> None:
    position = granted(url, chained)
    tamper(url, CHANGES[change], position)
    assert named(database) == [("changed", 2, position, position)]
    (found,) = findings(database.url)
    assert found.account_id
    assert found.version
    assert f"position {position}" in found.problem


def test_each_row_is_covered(database: Database, url: str, chained: ChainEnd) -> None:
    last = chained.position
    tamper(url, "UPDATE ledger_events SET actor = actor || 'x'")
    assert [each[2] for each in named(database)] == list(range(1, last + 1))


@pytest.mark.parametrize("column", [*plain_chain.COLUMNS, "data"])
def test_no_column_of_the_table_is_left_out(url: str, column: str) -> None:
    with connected(url) as connection:
        columns = connection.execute(
            "SELECT attname::text FROM pg_attribute"
            " WHERE attrelid = 'ledger_events'::regclass AND attnum > 0 AND NOT attisdropped"
        ).fetchall()
    assert (column,) in columns
    assert len(columns) == len(plain_chain.COLUMNS) + 1


def test_changes_beside_each_other_are_each_named(
    database: Database, url: str, chained: ChainEnd
) -> None:
    at = granted(url, chained)
    for position in (1, at, at + 1, at + 2):
        tamper(url, "UPDATE ledger_events SET actor = 'x' WHERE position = %s", position)
    assert [each[2] for each in named(database)] == [1, at, at + 1, at + 2]


@pytest.mark.parametrize("width", [1, 3])
def test_a_deleted_row_is_named(
    database: Database, url: str, chained: ChainEnd, width: int
) -> None:
    at = granted(url, chained)
    gone = "DELETE FROM ledger_events WHERE position >= %s AND position < %s"
    tamper(url, gone, at, at + width)
    assert named(database) == [("missing", 2, at, at + width - 1)]
    assert chained.unchained == 0


def test_the_first_and_the_last_row_of_a_block_are_missed(
    database: Database, url: str, chained: ChainEnd
) -> None:
    with connected(url) as connection:
        ends = connection.execute(
            "SELECT first_position, last_position FROM ledger_chain ORDER BY block"
        ).fetchall()
    positions = sorted({position for pair in ends for position in pair})
    tamper(url, "DELETE FROM ledger_events WHERE position = ANY (%s)", positions)
    lost = [p for _, _, first, last in named(database) for p in range(first or 0, (last or 0) + 1)]
    assert lost == positions
    assert chained.position == positions[-1]


def test_all_rows_gone_are_few_findings(database: Database, url: str, chained: ChainEnd) -> None:
    tamper(url, "DELETE FROM ledger_events")
    found = named(database)
    assert [(kind, block) for kind, block, _, _ in found] == [("missing", n) for n in (1, 2, 3)]
    assert (found[0][2], found[-1][3]) == (1, chained.position)


def test_a_row_inserted_by_moving_the_others_is_named(
    database: Database, url: str, chained: ChainEnd
) -> None:
    at = granted(url, chained)
    tamper(url, "UPDATE ledger_events SET position = -position - 1 WHERE position >= %s", at)
    tamper(url, "UPDATE ledger_events SET position = -position WHERE position < 0")
    tamper(
        url,
        "INSERT INTO ledger_events SELECT %s, account_id, 100000, topic, at, actor,"
        " gen_random_uuid(), NULL, NULL, settled, held, data FROM ledger_events WHERE position = 1",
        at,
    )
    found = findings(database.url)
    assert (found[0].kind, found[0].position) == ("changed", at)
    assert found[1].problem == (
        f"the row at position {at + 1} is the one that stood at position {at}"
    )
    assert [each.position for each in found] == list(range(at, chained.position + 1))


def test_a_second_row_at_a_position_is_named(
    database: Database, url: str, chained: ChainEnd
) -> None:
    at = granted(url, chained)
    tamper(url, "ALTER TABLE ledger_events DROP CONSTRAINT ledger_events_position_key")
    tamper(
        url,
        "INSERT INTO ledger_events SELECT position, account_id, 100000, topic, at, actor,"
        " gen_random_uuid(), NULL, NULL, settled, held, data FROM ledger_events"
        " WHERE position = %s",
        at,
    )
    assert ("inserted", 2, at, at) in named(database)


@pytest.mark.parametrize("position", [0, -5])
def test_a_row_before_the_first_is_named(
    database: Database, url: str, chained: ChainEnd, position: int
) -> None:
    tamper(
        url,
        "INSERT INTO ledger_events SELECT %s, account_id, 100000, topic, at, actor,"
        " gen_random_uuid(), NULL, NULL, settled, held, data FROM ledger_events WHERE position = 1",
        position,
    )
    assert named(database) == [("inserted", 0, position, position)]
    assert chained.unchained == 0


def test_a_swapped_pair_is_named_as_one(database: Database, url: str, chained: ChainEnd) -> None:
    at = granted(url, chained)
    other = at + 1
    assert block_of(url, other) == 2
    tamper(
        url,
        "UPDATE ledger_events SET position = CASE position WHEN %s THEN -1 ELSE -2 END"
        " WHERE position IN (%s, %s)",
        *(at, at, other),
    )
    tamper(url, "UPDATE ledger_events SET position = %s WHERE position = -1", other)
    tamper(url, "UPDATE ledger_events SET position = %s WHERE position = -2", at)
    assert named(database) == [("moved", 2, at, at), ("moved", 2, other, other)]
    assert [each.problem for each in findings(database.url)] == [
        f"the row at position {at} is the one that stood at position {other}",
        f"the row at position {other} is the one that stood at position {at}",
    ]


def test_a_pair_swapped_across_blocks_is_two_changed_rows(
    database: Database, url: str, chained: ChainEnd
) -> None:
    at = granted(url, chained)
    tamper(url, "UPDATE ledger_events SET position = -1 WHERE position = 1")
    tamper(url, "UPDATE ledger_events SET position = 1 WHERE position = %s", at)
    tamper(url, "UPDATE ledger_events SET position = %s WHERE position = -1", at)
    assert named(database) == [("changed", 1, 1, 1), ("changed", 2, at, at)]


def test_a_block_removed_in_the_middle_is_named(
    database: Database, url: str, chained: ChainEnd
) -> None:
    with connected(url) as connection:
        span = connection.execute(
            "SELECT first_position, last_position FROM ledger_chain WHERE block = 2"
        ).fetchone()
    assert span is not None
    tamper(url, "DELETE FROM ledger_chain WHERE block = 2")
    assert named(database) == [("block_missing", 2, *span)]
    tamper(url, "DELETE FROM ledger_chain WHERE block = 1")
    assert named(database) == [("block_missing", 1, 1, span[1])]
    assert chained.block == 3


def test_a_truncated_chain_leaves_a_tail_that_is_told_of(
    database: Database, url: str, chained: ChainEnd
) -> None:
    """Nothing is wrong with what is left: a seal tells (see test_seal.py), and the count."""
    tamper(url, "DELETE FROM ledger_chain WHERE block > 1")
    assert findings(database.url) == []
    with connected(database.url) as connection:
        at = catch_up(connection)
        assert at.hash == chained.hash  # over the same rows it grows again the same


# What is done to the chain itself, past its constraints.
CHAIN_CHANGES = {
    "its hash": ("UPDATE ledger_chain SET hash = sha256('x') WHERE block = 2", "block_changed"),
    "its past": (
        "UPDATE ledger_chain SET previous_hash = sha256('x') WHERE block = 2",
        "block_changed",
    ),
    "a link less": (
        "UPDATE ledger_chain SET links = substr(links, 33) WHERE block = 2",
        "block_changed",
    ),
    "a link changed": (
        "UPDATE ledger_chain SET links = overlay(links PLACING sha256('') FROM 1) WHERE block = 2",
        "block_changed",
    ),
    "its first position": (
        "UPDATE ledger_chain SET first_position = first_position + 1 WHERE block = 2",
        "block_changed",
    ),
    "its last position": (
        "UPDATE ledger_chain SET last_position = last_position - 1 WHERE block = 2",
        "block_changed",
    ),
    "turned inside out": (
        "UPDATE ledger_chain SET last_position = 1, first_position = last_position WHERE block = 2",
        "block_changed",
    ),
    "its number": ("UPDATE ledger_chain SET block = 4 WHERE block = 3", "block_missing"),
}


@pytest.mark.parametrize("change", CHAIN_CHANGES)
def test_a_change_of_the_chain_itself_is_found(
    database: Database, url: str, chained: ChainEnd, change: str
) -> None:
    tamper(url, "ALTER TABLE ledger_chain DROP CONSTRAINT ledger_chain_linked")
    tamper(url, "ALTER TABLE ledger_chain DROP CONSTRAINT ledger_chain_bounded")
    statement, kind = CHAIN_CHANGES[change]
    tamper(url, statement)
    kinds = {each.kind for each in findings(database.url)}
    assert kind in kinds
    assert chained.block == 3


def test_a_changed_link_is_not_blamed_on_a_row(
    database: Database, url: str, chained: ChainEnd
) -> None:
    tamper(url, CHAIN_CHANGES["a link changed"][0])
    with connected(url) as connection:
        first = connection.execute(
            "SELECT first_position FROM ledger_chain WHERE block = 2"
        ).fetchone()
    assert first is not None
    assert named(database) == [("block_changed", 2, first[0], first[0])]
    tamper(url, "UPDATE ledger_events SET actor = 'x' WHERE position = %s", first[0] + 2)
    assert [each.kind for each in findings(database.url)] == ["block_changed", "changed"]
    assert chained.block == 3


def test_another_identity_fits_no_block(database: Database, url: str, chained: ChainEnd) -> None:
    tamper(url, "UPDATE ledger_identity SET id = gen_random_uuid()")
    assert named(database) == [("block_changed", 1, 1, granted_end(url))]
    assert chained.block == 3


def granted_end(url: str) -> int:
    with connected(url) as connection:
        row = connection.execute(
            "SELECT last_position FROM ledger_chain WHERE block = 1"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_row_and_its_chain_recomputed_fits_again(
    database: Database, url: str, chained: ChainEnd
) -> None:
    """What an owner can do: only a seal kept elsewhere tells, see test_seal.py."""
    tamper(url, "UPDATE ledger_events SET settled = settled + 7 WHERE position = 5")
    assert named(database) == [("changed", 1, 5, 5)]
    plain_chain.recompute(url)
    assert named(database) == []
    with connected(database.url) as connection:
        assert catch_up(connection).hash != chained.hash


def test_the_tail_is_not_protected_and_is_counted(
    database: Database, url: str, chained: ChainEnd
) -> None:
    grow(database, seed=9)
    tamper(url, "UPDATE ledger_events SET actor = 'x' WHERE position = %s", chained.position + 1)
    assert named(database) == []
