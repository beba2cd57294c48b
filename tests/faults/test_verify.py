"""Twelve planted faults, each found by its name; and nothing where nothing is wrong, under load."""

# ruff: noqa: S608 - statements with numbers of ours in them
import hashlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
import pytest

import histories
from api.stored_objects import StoredObjects
from databases import Database
from generation.folder import FolderStorage
from ledger.chain.blocks import catch_up
from ledger.commands import OpenAccount, RequestGeneration
from ledger.entry import Entry
from ledger.facts import ImageRecord, TokensConsumed
from ledger.ledger import Ledger
from projections.advance import advance
from projections.projector import Projector
from projections.rebuild import Rebuild
from projections.verify.chain import check_chain
from projections.views import VIEWS
from verifying import tamper, told, verified

PICTURE = b"a picture, as far as anybody here knows"


class World:
    """Two accounts with a little history, views level, objects stored, the chain made."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.storage = FolderStorage(folder, base_url="", secret=b"x" * 32)
        with Ledger(database.url) as ledger:
            for name in ("ann", "bob"):
                opening = OpenAccount(account_id=name, is_member=True, tokens=100)
                histories.record(ledger, opening)
            self.asked = [histories.request(n, count=2) for n in ("ann", "bob", "ann")]
            self.requests = [histories.record(ledger, each) for each in self.asked]
            self.endings = [histories.settle(ledger, each) for each in self.asked]
            self.open = histories.request("bob")
            histories.record(ledger, self.open)
        with psycopg.connect(database.url, autocommit=True) as connection:
            advance(connection)
        for ending in self.endings:
            self._store(ending)

    def _store(self, ending: Entry) -> None:
        assert isinstance(ending.fact, TokensConsumed)
        for image in ending.fact.images:
            for key in (image.key, image.thumbnail_key):
                self.storage.put(key, PICTURE, mime_type="image/png")

    def chain(self) -> None:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            catch_up(connection)


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(histories, "image", _image)
    made = World(database, tmp_path)
    with closing(made.storage):
        yield made


_plain_image = histories.image


def _image(title: str = "x") -> ImageRecord:
    digest = hashlib.sha256(PICTURE).hexdigest()
    return msgspec.structs.replace(_plain_image(title), sha256=digest, bytes=len(PICTURE))


def everything(world: World) -> list[tuple[str, str | None, str | None, int | None]]:
    findings, report = verified(
        world.database.url, objects=StoredObjects(world.storage), further=[check_chain]
    )
    assert not report.incomplete
    assert report.objects == 12 or findings
    return told(findings)


def test_nothing_is_wrong_to_begin_with(world: World) -> None:
    world.chain()
    assert everything(world) == []


def test_1_a_changed_balance(world: World) -> None:
    tamper(world.database, "UPDATE balances SET settled = settled + 1 WHERE account_id = 'ann'")
    assert everything(world) == [("row_differs", "balances", "ann", world.endings[2].position)]


def test_2_a_missing_transaction(world: World) -> None:
    position = world.endings[1].position
    tamper(world.database, f"DELETE FROM transactions WHERE position = {position}")
    assert everything(world) == [("row_missing", "transactions", "bob", position)]


def test_3_a_duplicated_image_row(world: World) -> None:
    position = world.endings[0].position
    tamper(
        world.database,
        "ALTER TABLE images DROP CONSTRAINT images_pkey",
        f"INSERT INTO images SELECT * FROM images WHERE position = {position} AND ordinal = 1",
    )
    assert everything(world) == [("row_duplicated", "images", "ann", position)]


def test_4_a_view_row_for_no_account(world: World) -> None:
    tamper(
        world.database,
        "INSERT INTO balances SELECT 'carl', is_member, settled, held, version, position "
        "FROM balances WHERE account_id = 'bob'",
    )
    assert [row[:3] for row in everything(world)] == [("account_unknown", "balances", "carl")]


@pytest.mark.parametrize("chained", [True, False])
def test_5_a_changed_log_byte(world: World, chained: bool) -> None:  # noqa: FBT001
    """A title that stays a title is found by the chain; one of a number by arithmetic as well."""
    if chained:
        world.chain()
    position = world.requests[1].position
    change, path = ('"梦幻森杯"', "prompt,title") if chained else ("9", "cost")
    tamper(
        world.database,
        f"UPDATE ledger_events SET data = jsonb_set(data, '{{{path}}}', '{change}') "
        f"WHERE position = {position}",
    )
    found = everything(world)
    if chained:
        assert ("chain_broken", None, "bob", position) in found
        # What was folded from it before the change says so too.
        assert {row[0] for row in found} == {"chain_broken", "row_differs"}
    else:
        assert found[0] == ("balance_wrong", None, "bob", position)


def test_6_a_deleted_log_row(world: World) -> None:
    world.chain()
    position = world.requests[2].position
    tamper(world.database, f"DELETE FROM ledger_events WHERE position = {position}")
    found = everything(world)
    assert ("position_gap", None, "ann", position) in found
    assert ("version_gap", None, "ann", world.endings[0].position) in found
    assert ("chain_broken", None, None, position) in found


def test_7_a_swapped_pair(world: World) -> None:
    world.chain()
    one, other = world.requests[0].position, world.requests[1].position
    tamper(
        world.database,
        "ALTER TABLE ledger_events DROP CONSTRAINT ledger_events_position_key",
        f"UPDATE ledger_events SET position = {one} + {other} - position "
        f"WHERE position IN ({one}, {other})",
        "ALTER TABLE ledger_events ADD CONSTRAINT ledger_events_position_key UNIQUE (position)",
    )
    found = everything(world)
    assert ("chain_broken", None, "bob", one) in found
    assert ("chain_broken", None, "ann", other) in found
    assert ("row_differs", "generations", "ann", other) in found


def test_8_a_missing_object(world: World) -> None:
    ending = world.endings[0]
    assert isinstance(ending.fact, TokensConsumed)
    world.storage.delete(ending.fact.images[1].key)
    assert everything(world) == [("object_missing", None, "ann", ending.position)]


def test_9_a_wrong_object(world: World) -> None:
    ending = world.endings[1]
    assert isinstance(ending.fact, TokensConsumed)
    for image, data in zip(ending.fact.images, (PICTURE[::-1], PICTURE[1:]), strict=True):
        world.storage.delete(image.key)
        world.storage.put(image.key, data, mime_type="image/png")
    assert everything(world) == [("object_differs", None, "bob", ending.position)] * 2


def test_10_a_position_too_far(world: World) -> None:
    head = max(entry.position for entry in histories.read_log(world.database.url))
    tamper(
        world.database, "UPDATE view_positions SET position = position + 7 WHERE view = 'images'"
    )
    assert everything(world) == [("position_beyond", "images", None, head + 7)]


def test_11_a_gap_in_a_streams_versions(world: World) -> None:
    position = world.endings[2].position
    tamper(
        world.database,
        f"UPDATE ledger_events SET version = version + 1 WHERE position = {position}",
    )
    found = everything(world)
    assert found[0] == ("version_gap", None, "ann", position)
    assert found[1:] == [("row_differs", "balances", "ann", position)]


def test_12_a_generation_ended_twice(world: World) -> None:
    head = max(entry.position for entry in histories.read_log(world.database.url))
    tamper(
        world.database,
        "INSERT INTO ledger_events SELECT "
        f"{head} + 1, account_id, version + 1, topic, now(), actor, gen_random_uuid(), NULL, NULL, "
        "settled, held, data FROM ledger_events WHERE position = "
        f"{world.endings[2].position}",
    )
    found = everything(world)
    assert ("ended_twice", None, "ann", head + 1) in found
    assert ("fact_id_wrong", None, "ann", head + 1) in found
    assert {row[0] for row in found} == {"ended_twice", "fact_id_wrong"}


def test_the_open_one_is_no_fault(world: World) -> None:
    assert isinstance(world.open, RequestGeneration)
    findings, report = verified(world.database.url)
    assert (findings, report.status) == ([], "ok")


def test_nothing_is_found_under_load(database: Database) -> None:
    """Ten looks while three write, two projectors follow and rebuilds swap tables."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"histories of seed {seed}")
    stop = threading.Event()

    def write(number: int) -> None:
        with Ledger(database.url) as ledger:
            history = histories.History(ledger, seed + number, accounts=20)
            while not stop.is_set():
                history.write(10)

    def rebuild() -> None:
        while not stop.is_set():
            Rebuild(database.owner_url, VIEWS, step=50).run()

    projectors = [Projector(database.url) for _ in range(2)]
    with ThreadPoolExecutor(6) as threads:
        working = [threads.submit(write, number) for number in range(3)]
        working += [threads.submit(each.run, stop) for each in projectors]
        working.append(threads.submit(rebuild))
        try:
            for number in range(10):
                findings, report = verified(
                    database.url, further=[check_chain], processes=1 + number % 2
                )
                assert told(findings) == []
                assert report.incomplete == []
                assert report.events == report.position
        finally:
            stop.set()
        for each in working:
            each.result(120)
    print(f"{report.position} events at the last look")
