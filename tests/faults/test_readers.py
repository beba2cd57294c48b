"""Readers see every event, and upkeep of the log's table stalls no writer."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

import ledger.log
from databases import Database
from ledger.codec import EntryMapper
from ledger.commands import OpenAccount, Submission
from ledger.entry import Entry
from ledger.facts import AccountOpened
from ledger.ledger import Ledger
from ledger_writer import Writers, writing

PAGE = 100
EVENTS_MIN = 1_500
SECONDS_MAX = 60.0
ROWS = 60_000

Page = Callable[[int], Sequence[int]]


class Tail:
    """Reads as a projector would: each page goes on from the last position of the one before."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.seen: list[int] = []

    def read(self) -> None:
        """Everything that there is now."""
        while found := self._page(self.seen[-1] if self.seen else 0):
            self.seen += found


def log_by_sql(connection: psycopg.Connection[Any]) -> Page:
    def page(after: int) -> list[int]:
        rows = connection.execute(
            "SELECT position FROM ledger_events WHERE position > %s ORDER BY position LIMIT %s",
            (after, PAGE),
        )
        return [position for (position,) in rows]

    return page


def notifications(recorder: PostgresApplicationRecorder) -> Page:
    def page(after: int) -> list[int]:
        found = recorder.select_notifications(after, PAGE, inclusive_of_start=False)
        return [cast("int", notification.id) for notification in found]

    return page


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.005)


def waiting(database: Database) -> int:
    """How many in this database wait for a lock."""
    with psycopg.connect(database.superuser_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'",
            [database.name],
        ).fetchone()
    assert row
    return int(row[0])


def test_readers_miss_nothing_that_several_processes_write(database: Database) -> None:
    with (
        Ledger(database.url) as reading,
        psycopg.connect(database.url, autocommit=True) as connection,
        writing(database.url, processes=3, threads=3, pause_seconds=0.002) as writers,
    ):
        tails = [
            Tail(log_by_sql(connection)),
            Tail(notifications(cast("PostgresApplicationRecorder", reading.recorder))),
        ]
        deadline = time.monotonic() + SECONDS_MAX
        while any(len(tail.seen) < EVENTS_MIN for tail in tails):
            assert time.monotonic() < deadline
            for tail in tails:
                tail.read()
        writers.stop()
        for tail in tails:
            tail.read()
        # Positions have no gaps either, so that one missed would show in any case.
        count = connection.execute("SELECT count(*) FROM ledger_events").fetchone()
    for tail in tails:
        assert tail.seen == list(range(1, len(tail.seen) + 1))
        assert (len(tail.seen),) == count


def race(
    database: Database,
    tail: Tail,
    hold: Callable[[], AbstractContextManager[None]],
    write: Callable[[], Sequence[int] | None],
) -> list[int]:
    """Begin a second writer while the first holds its transaction open; the reader reads on."""
    with ThreadPoolExecutor(1) as threads:
        with hold():
            before = waiting(database)
            second = threads.submit(write)
            # Either it gets past the first, or it waits for it.
            until(lambda: second.done() or waiting(database) > before)
            tail.read()
        second.result(SECONDS_MAX)
    tail.read()
    return tail.seen


@contextmanager
def stock_recorder(
    database: Database, *, db_functions: bool
) -> Iterator[PostgresApplicationRecorder]:
    """The library's own recorder, on a table of its own."""
    parts = conninfo_to_dict(database.owner_url)
    with PostgresDatastore(
        dbname=str(parts["dbname"]),
        host=str(parts["host"]),
        port=str(parts["port"]),
        user=str(parts["user"]),
        password=str(parts["password"]),
        pool_size=3,
        enable_db_functions=db_functions,
    ) as datastore:
        recorder = PostgresApplicationRecorder(datastore, events_table_name="stock_events")
        recorder.create_table()
        yield recorder


def stock_fields() -> tuple[UUID, int, str, bytes]:
    return uuid4(), 1, "granted", b"{}"


def stock_event() -> StoredEvent:
    return StoredEvent(*stock_fields())


def stock_race(database: Database, *, db_functions: bool) -> list[int]:
    with stock_recorder(database, db_functions=db_functions) as recorder:
        recorder.insert_events([stock_event()])

        @contextmanager
        def hold() -> Iterator[None]:
            # What `insert_events` does, but that its transaction takes its time to end.
            with (
                recorder.datastore.get_connection() as connection,
                connection.transaction(),
                connection.cursor() as cursor,
            ):
                if db_functions:
                    row = recorder.construct_pg_stored_event(*stock_fields())
                    cursor.execute(recorder.sql_invoke_pg_function_insert_events, ([row],))
                else:
                    recorder._insert_stored_events(cursor, [stock_event()])
                yield

        seen = race(
            database,
            Tail(notifications(recorder)),
            hold,
            lambda: recorder.insert_events([stock_event()]),
        )
        written = [n.id for n in recorder.select_notifications(1, PAGE)]
        assert written == [1, 2, 3]
        return seen


def test_without_a_writers_lock_a_reader_misses_an_event(database: Database) -> None:
    assert stock_race(database, db_functions=True) == [1, 3]


def test_with_the_library_s_table_lock_it_misses_none(database: Database) -> None:
    assert stock_race(database, db_functions=False) == [1, 2, 3]


# Keeps the transaction of whoever opens the account `held` open after its insert.
HOLD_LOCK = 4711
HOLD = f"""
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock({HOLD_LOCK}); RETURN NULL; END $$;
CREATE TRIGGER hold AFTER INSERT ON ledger_events
    FOR EACH ROW WHEN (NEW.account_id = 'held') EXECUTE FUNCTION hold()"""


def our_race(database: Database) -> list[int]:
    """The same over our log, the first writer being the ledger itself."""
    with psycopg.connect(database.owner_url) as owner:
        owner.execute(HOLD.encode())
    with (
        Ledger(database.url) as ours,
        psycopg.connect(database.url, autocommit=True) as reading,
        ThreadPoolExecutor(1) as threads,
    ):
        open_account(ours, "first")

        @contextmanager
        def hold() -> Iterator[None]:
            with psycopg.connect(database.url, autocommit=True) as holding:
                with holding.transaction():
                    holding.execute("SELECT pg_advisory_xact_lock(%s)", [HOLD_LOCK])
                    first = threads.submit(open_account, ours, "held")
                    until(lambda: waiting(database) == 1)
                    yield
                first.result(SECONDS_MAX)

        entry = Entry(
            position=0,
            account_id="second",
            version=1,
            at=datetime.now(UTC),
            actor="cli",
            fact_id=uuid4(),
            settled=0,
            held=0,
            fact=AccountOpened(is_member=True),
        )
        stored = EntryMapper(transcoder=ours.construct_transcoder()).to_stored_event(entry)
        return race(
            database,
            Tail(log_by_sql(reading)),
            hold,
            lambda: ours.recorder.insert_events([stored]),
        )


def open_account(ours: Ledger, account_id: str) -> None:
    opened = OpenAccount(account_id=account_id, is_member=True, tokens=0)
    ours.record(Submission(command=opened, actor="cli"))


def positions(database: Database) -> Sequence[int]:
    with psycopg.connect(database.url) as connection:
        return log_by_sql(connection)(0)


def test_with_our_lock_the_second_writer_waits_and_none_is_missed(database: Database) -> None:
    assert our_race(database) == [1, 2, 3]
    assert positions(database) == [1, 2, 3]


def test_without_our_lock_positions_collide_and_nothing_is_passed_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger.log, "LOCK", "SELECT 1")
    with pytest.raises(IntegrityError) as caught:
        our_race(database)
    cause = caught.value.__cause__
    assert isinstance(cause, psycopg.errors.UniqueViolation)
    assert cause.diag.constraint_name == "ledger_events_position_key"
    assert positions(database) == [1, 2]


PRELOAD = """
INSERT INTO ledger_events
    (position, account_id, version, topic, at, actor, fact_id, settled, held, data)
SELECT n, 'old-' || n %% 100, (n - 1) / 100 + 1, 'tokens_granted:1', '2026-01-01', 'cli',
    gen_random_uuid(), n, 0, jsonb_build_object('amount', 1, 'reason', 'promo')
FROM generate_series(1, %s) AS n"""

# The first takes its time over each row, as a large log would over all of them.
UPKEEP = (
    "CREATE INDEX CONCURRENTLY slow_idx ON ledger_events (md5(repeat(data::text, 150)))",
    "CREATE INDEX CONCURRENTLY actor_idx ON ledger_events (actor, at)",
    "VACUUM (ANALYZE) ledger_events",
    "VACUUM (FREEZE, ANALYZE, DISABLE_PAGE_SKIPPING) ledger_events",
)


def longest_wait(database: Database, writers: Writers) -> tuple[float, float, int]:
    """Seconds: of the longest wait during upkeep, of its first step; and how many were written."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        moments = [time.monotonic()]
        for statement in UPKEEP:
            owner.execute(statement.encode())
            moments.append(time.monotonic())
    writers.stop()
    begun, first, *_, ended = moments
    during = [seconds for at, seconds in writers.waits if at < ended and at + seconds > begun]
    return max(during), first - begun, len(during)


def preload(database: Database) -> None:
    with psycopg.connect(database.owner_url) as owner:
        owner.execute(PRELOAD, [ROWS])


@pytest.mark.alone
def test_upkeep_of_the_log_stalls_no_writer(database: Database) -> None:
    preload(database)
    with writing(database.url, processes=2, pause_seconds=0.005) as writers:
        longest, index, written = longest_wait(database, writers)
    print(f"longest wait {longest * 1000:.0f} ms of {written}, an index took {index:.1f} s")
    assert written > 100
    assert longest < index / 3


def test_with_the_library_s_table_lock_upkeep_would_stall_writers(database: Database) -> None:
    preload(database)
    # The owner writes here: the application's role may not take that lock at all.
    with writing(database.owner_url, processes=2, pause_seconds=0.005, table_lock=True) as writers:
        longest, index, written = longest_wait(database, writers)
    print(f"longest wait {longest * 1000:.0f} ms of {written}, an index took {index:.1f} s")
    assert longest > index / 2
