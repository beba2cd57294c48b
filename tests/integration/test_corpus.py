"""Rows of every version: read by the codec, folded by the views' SQL and chained, all alike."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest

import corpus
import plain_chain
import plain_views
from chained import connected
from databases import Database
from histories import read_log
from ledger import codec
from ledger.chain.blocks import canonical_bytes, catch_up
from ledger.chain.canonical import genesis, link
from ledger.chain.checking import check
from ledger.chain.rows import read_rows
from ledger.codec import decode_entry, encode_fact
from ledger.errors import AccountExistsError, CorruptLogError
from ledger.facts import TokensGranted
from ledger_running import running
from ledger_samples import FIRST, opening, plain
from projections.advance import advance
from projections.failures import failures

# A version before the first, made up: what a later one will have to do with those of today.
OLD_TOPIC = "tokens_granted:0"
OLD_VIEW = """
CREATE OR REPLACE VIEW ledger_facts AS
SELECT position, account_id, version, split_part(topic, ':', 1) AS type,
       CASE topic WHEN 'tokens_granted:0' THEN 'tokens_granted:1' ELSE topic END AS topic,
       at, actor, fact_id, settled, held,
       CASE topic
           WHEN 'tokens_granted:0' THEN jsonb_build_object(
               'amount', data -> 'tokens',
               'reason', CASE data ->> 'why' WHEN 'bonus' THEN 'promo' ELSE data ->> 'why' END)
           ELSE data
       END AS data
FROM ledger_events"""


class TokensGranted0(msgspec.Struct, frozen=True):
    tokens: int
    why: str


def lift(old: TokensGranted0) -> TokensGranted:
    reason = "promo" if old.why == "bonus" else old.why
    return msgspec.convert({"amount": old.tokens, "reason": reason}, TokensGranted)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with connected(database.url) as connection:
        yield connection


def assert_lifted_alike(connection: psycopg.Connection[Any], url: str) -> None:
    """What SQL reads of each row is what the codec makes of it, in the latest version's form."""
    lifted = connection.execute("SELECT topic, data FROM ledger_facts ORDER BY position").fetchall()
    facts = [entry.fact for entry in read_log(url)]
    assert lifted == [(fact.TOPIC, json.loads(encode_fact(fact))) for fact in facts]


@pytest.mark.parametrize("name", corpus.FROZEN)
def test_frozen_rows_are_read_folded_and_chained(
    database: Database, connection: psycopg.Connection[Any], name: str
) -> None:
    rows = corpus.rows(name)
    corpus.insert(database.owner_url, rows)
    entries = read_log(database.url)
    assert entries == [decode_entry(row) for row in rows]
    assert_lifted_alike(connection, database.url)

    while advance(connection):
        pass
    assert failures(connection) == []
    assert plain_views.read_tables(database.url) == plain_views.fold(entries)

    hashed = genesis(FIRST)
    for row in read_rows(connection, entries[0].position, entries[-1].position):
        hashed = link(hashed, canonical_bytes(row))
    assert hashed.hex() == corpus.CHAINS[name]


def test_an_older_version_is_lifted_by_the_codec_and_in_sql_alike(
    database: Database, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, granted = (json.loads(row) for row in corpus.rows("ledger_rows_1.jsonl")[:2])
    opened["position"], granted["position"] = 1, 2
    granted |= {"topic": OLD_TOPIC, "data": {"tokens": 100, "why": "bonus"}}
    corpus.insert(database.owner_url, [json.dumps(row) for row in (opened, granted)])

    with pytest.raises(CorruptLogError, match="unknown topic tokens_granted:0"):
        read_log(database.url)
    assert [advance(connection), advance(connection)] == [1, 0]
    assert {failure.position for failure in failures(connection)} == {1}

    monkeypatch.setitem(codec.DECODERS, OLD_TOPIC, codec.lifting(TokensGranted0, lift))
    with connected(database.owner_url) as owner:
        owner.execute(OLD_VIEW.encode())
        owner.execute("UPDATE view_failures SET retry_at = now() - interval '1 second'")
    assert read_log(database.url)[1].fact == TokensGranted(amount=100, reason="promo")
    assert_lifted_alike(connection, database.url)

    assert advance(connection) == 1
    assert failures(connection) == []
    folded = plain_views.fold(read_log(database.url))
    assert plain_views.read_tables(database.url) == folded
    assert [line["amount"] for line in folded["transactions"]] == [100]
    with running(database.url) as ledger:  # and the ledger goes on from it
        assert ledger.account("ann").settled == 100
        with pytest.raises(AccountExistsError):
            ledger.record(plain(opening("ann")))

    # Lifting is reading: what is chained is the row as it was written.
    assert catch_up(connection).unchained == 0
    kept = connection.execute("SELECT links FROM ledger_chain").fetchone()
    log_id = plain_chain.log_id(database.url)
    links = plain_chain.links(plain_chain.genesis(log_id), plain_chain.read_rows(database.url))
    assert kept == (b"".join(links),)
    assert list(check(connection)) == []
