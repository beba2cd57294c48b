"""What the eventsourcing library offers works on our table."""

from datetime import UTC, datetime
from itertools import islice

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, Notification, StoredEvent

from databases import Database
from ledger.codec import EntryMapper, decode_entry
from ledger.commands import Command
from ledger.entry import Entry
from ledger.facts import AccountOpened, TokensGranted
from ledger.identity import new_id
from ledger.ledger import Ledger
from ledger_running import running, wait_until, whole_log
from ledger_samples import grant, opening, plain, release, request, settle


def history(ledger: Ledger) -> list[Entry]:
    first, second = new_id(), new_id()
    commands: list[Command] = [
        opening(tokens=20),
        opening("bob"),
        request(5, first),
        request(7, second),
        grant(3, "bob"),
        settle(first),
        release(second),
    ]
    return [entry for command in commands for entry in ledger.record(plain(command)).entries]


def entries_of(events: "list[StoredEvent] | list[Notification]") -> list[Entry]:
    return [decode_entry(event.state) for event in events]


def test_events_of_an_account(database: Database) -> None:
    with running(database.url) as ledger:
        written = [entry for entry in history(ledger) if entry.account_id == "ann"]
        assert list(ledger.events.get("ann")) == written
        assert list(ledger.events.get("ann", gt=2, lte=4)) == written[2:4]
        assert list(ledger.events.get("ann", desc=True, limit=2)) == written[:-3:-1]
        assert list(ledger.events.get("nobody")) == []


def test_notifications_in_the_order_of_the_log(database: Database) -> None:
    with running(database.url) as ledger:
        written = history(ledger)
        select = ledger.recorder.select_notifications
        assert entries_of(list(select(start=None, limit=100))) == written
        assert entries_of(list(select(start=3, limit=2))) == written[2:4]
        after = select(start=3, limit=2, inclusive_of_start=False)
        assert entries_of(list(after)) == written[3:5]
        assert entries_of(list(select(start=1, limit=100, stop=2))) == written[:2]
        grants = list(select(start=1, limit=100, topics=["tokens_granted:1"]))
        assert [n.id for n in grants] == [2, 6]
        assert [(n.originator_id, n.originator_version) for n in grants] == [("ann", 2), ("bob", 2)]
        assert ledger.recorder.max_notification_id() == len(written) == ledger.head()


def test_an_empty_log(database: Database) -> None:
    with running(database.url) as ledger:
        assert ledger.recorder.max_notification_id() is None
        assert list(ledger.recorder.select_notifications(start=None, limit=10)) == []


def test_imported_events_are_placed_at_the_end_and_known_to_the_committer(
    database: Database,
) -> None:
    mapper = EntryMapper.__new__(EntryMapper)
    at = datetime(2026, 1, 1, tzinfo=UTC)

    def stored(version: int, fact: AccountOpened | TokensGranted, settled: int) -> StoredEvent:
        entry = Entry(
            position=99,
            account_id="eve",
            version=version,
            at=at,
            actor="import",
            fact_id=new_id(),
            settled=settled,
            held=0,
            fact=fact,
        )
        return mapper.to_stored_event(entry)

    imported = [
        stored(1, AccountOpened(is_member=True), 0),
        stored(2, TokensGranted(amount=4, reason="promo"), 4),
    ]
    with running(database.url) as ledger:
        assert list(ledger.recorder.insert_events(imported) or ()) == [1, 2]
        assert ledger.record(plain(grant(1, "eve"))).settled == 5
        with pytest.raises(IntegrityError):
            ledger.recorder.insert_events(imported)
        assert ledger.head() == 3
        more = [stored(4, TokensGranted(amount=4, reason="promo"), 9)]
        assert list(ledger.recorder.insert_events(more) or ()) == [4]
        assert ledger.record(plain(grant(1, "eve"))).settled == 10
    assert [entry.account_id for entry in whole_log(database.url)] == ["eve"] * 5


def listeners(database: Database) -> int:
    with psycopg.connect(database.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'idle' AND query LIKE 'LISTEN%'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_subscription_is_given_what_was_and_what_comes(database: Database) -> None:
    with running(database.url) as ledger:
        opened = ledger.record(plain(opening(tokens=20))).entries
        with ledger.recorder.subscribe(gt=1) as subscription:
            seen = entries_of(list(islice(subscription, 1)))
            # The library listens on a thread of its own, and is not told of what came before that.
            wait_until(lambda: listeners(database) == 1, "the subscription's LISTEN")
            later = ledger.record(plain(grant(1))).entries + ledger.record(plain(grant(2))).entries
            seen += entries_of(list(islice(subscription, 2)))
        assert seen == [*opened[1:], *later]
