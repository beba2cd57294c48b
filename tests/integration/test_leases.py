"""Leases: one worker at a time, the later one wins, and what is left is swept against the log."""

import datetime as dt
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

import databases
from generation import expiry, leases, objects
from generation.folder import FolderStorage
from generation.leases import Call, Lease, Note, StoredImage
from generation.sweep import Sweep
from histories import image, request
from ledger.commands import (
    Command,
    OpenAccount,
    ReleaseGeneration,
    SettleGeneration,
    Submission,
)
from ledger.facts import ImageRecord
from ledger.identity import new_id
from ledger.ledger import Ledger
from projections.projector import advance

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def ledger(database: databases.Database) -> Iterator[Ledger]:
    running = Ledger(database.url)
    yield running
    running.close()


@pytest.fixture
def connection(database: databases.Database) -> Iterator[Connection]:
    with psycopg.connect(database.url, autocommit=True) as opened:
        yield opened


def record(ledger: Ledger, command: Command) -> None:
    ledger.record(Submission(command=command, actor="test"))


def ask(ledger: Ledger, connection: Connection, count: int) -> list[UUID]:
    record(ledger, OpenAccount(account_id="ada", is_member=True, tokens=5 * count))
    asked = [request("ada") for _ in range(count)]
    for command in asked:
        record(ledger, command)
    advance(connection)
    return [command.generation_id for command in asked]


def claim(connection: Connection, worker: str, *, limit: int = 10) -> list[Lease]:
    return leases.claim(connection, worker=worker, limit=limit, seconds=600)


def run_out(connection: Connection) -> None:
    connection.execute("UPDATE generation_leases SET lease_until = now() - interval '1 second'")


def test_workers_at_once_never_hold_the_same_generation(
    database: databases.Database, ledger: Ledger, connection: Connection
) -> None:
    asked = ask(ledger, connection, 60)

    def work(worker: int) -> list[UUID]:
        with psycopg.connect(database.url, autocommit=True) as own:
            found = []
            for _ in range(100):
                claimed = claim(own, f"w{worker}", limit=3)
                found += [lease.generation_id for lease in claimed]
                taken = own.execute("SELECT count(*) FROM generation_leases").fetchone()
                if not claimed and taken == (len(asked),):
                    break
            return found

    with ThreadPoolExecutor(4) as workers:
        held = [each for found in workers.map(work, range(4)) for each in found]
    assert sorted(held) == sorted(asked)


def test_a_lease_that_ran_out_is_anothers_and_the_first_worker_is_told(
    ledger: Ledger, connection: Connection
) -> None:
    (asked,) = ask(ledger, connection, 1)
    (first,) = claim(connection, "first")
    assert claim(connection, "second") == []
    began = dt.datetime.now(dt.UTC)
    stored = StoredImage(image=0, record=image())
    call = Call(attempt=1, image=0, started_at=began)
    noted = [
        Note(id=asked, attempt=1, step="storing", stored=(stored,)),
        Note(id=asked, attempt=1, step="generating", calls=(call,)),
        Note(id=asked, attempt=2, calls=(call,)),
    ]
    assert leases.note(connection, noted) == [True, True, False]

    run_out(connection)
    (second,) = claim(connection, "second")

    assert (first.attempt, second.attempt) == (1, 2)
    assert second.stored == [stored]
    assert second.begun(0) == 1
    assert [attempt.outcome for attempt in second.history(began)] == ["lost"]
    assert leases.note(connection, [Note(id=asked, attempt=1, step="storing")]) == [False]
    assert leases.renew(connection, [first], seconds=30) == set()
    assert leases.renew(connection, [second], seconds=30) == {asked}
    assert leases.note(connection, [Note(id=asked, attempt=2, step="validating")]) == [True]
    assert leases.steps_of(connection, [asked]) == {asked: "storing"}  # a step never goes back


def test_a_lease_goes_only_once_the_view_has_seen_the_ending(
    ledger: Ledger, connection: Connection
) -> None:
    (asked,) = ask(ledger, connection, 1)
    (lease,) = claim(connection, "first")
    record(
        ledger,
        ReleaseGeneration(
            account_id="ada", generation_id=asked, reason="canceled", retryable=False
        ),
    )
    assert leases.drop_ended(connection) == 0
    advance(connection)
    assert leases.renew(connection, [lease], seconds=30) == set()
    assert leases.drop_ended(connection) == 1
    assert claim(connection, "second") == []


def test_what_is_overdue_is_expired_once(ledger: Ledger, connection: Connection) -> None:
    ask(ledger, connection, 2)
    assert expiry.overdue(connection, deadline_seconds=60) == []
    time.sleep(0.01)
    overdue = expiry.overdue(connection, deadline_seconds=0.001)
    assert len(overdue) == 2
    assert [expiry.expire(ledger, each) for each in overdue] == [True, True]
    assert [expiry.expire(ledger, each) for each in overdue] == [False, False]
    account = ledger.account("ada")
    assert (account.settled, account.held) == (10, 0)


def test_the_sweep_keeps_what_the_log_names_and_what_is_young(
    ledger: Ledger, connection: Connection, tmp_path: Path
) -> None:
    storage = FolderStorage(tmp_path, base_url="", secret=b"0" * 32)
    settled, failed, still_open = ask(ledger, connection, 3)

    def put(generation_id: UUID, *, age_seconds: float) -> str:
        key = objects.image_key("ada", generation_id, attempt=1, image=0, mime_type="image/png")
        storage.put(key, b"bytes", mime_type="image/png")
        then = time.time() - age_seconds
        os.utime(tmp_path / "objects" / key, (then, then))
        return key

    named, loser, young = (put(settled, age_seconds=age) for age in (100, 100, 10))
    of_failed, of_open, of_nobody = (
        put(each, age_seconds=100) for each in (failed, still_open, new_id())
    )
    thumbnail = objects.thumbnail_key(named)
    storage.put(thumbnail, b"small", mime_type="image/webp")
    os.utime(tmp_path / "objects" / thumbnail, (0, 0))
    record_of_named = ImageRecord(
        id=new_id(),
        key=named,
        thumbnail_key=thumbnail,
        sha256="0" * 64,
        mime_type="image/png",
        width=1,
        height=1,
        bytes=5,
        model="m",
    )
    record(
        ledger,
        SettleGeneration(account_id="ada", generation_id=settled, images=(record_of_named,)),
    )
    record(
        ledger,
        ReleaseGeneration(
            account_id="ada", generation_id=failed, reason="blocked", retryable=False
        ),
    )

    assert Sweep(ledger, storage, grace_seconds=50).run() == 3

    left = {found.key for found in storage.list("")}
    assert left == {named, thumbnail, young, of_open}
    assert not {loser, of_failed, of_nobody} & left
