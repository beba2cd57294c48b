import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg
import pytest
from psycopg import sql

import histories
import plain_views
from catalogue import shape, tables
from databases import Database
from ledger.commands import OpenAccount
from ledger.ledger import Ledger
from projections import failures
from projections.advance import advance
from projections.errors import (
    RebuildInterruptedError,
    RebuildRefusedError,
    RebuildStoppedError,
)
from projections.rebuild import Progress, Rebuild, checkpoint, swap
from projections.rebuild.shadow import shadow_name
from projections.views import VIEW_NAMES, VIEWS, View

WAIT_SECONDS_MAX = 60.0


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    with Ledger(database.url) as ledger:
        yield ledger


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def seed() -> int:
    seed = random.SystemRandom().randrange(2**32)
    print(f"history of seed {seed}")
    return seed


def damage(owner: psycopg.Connection, *views: str) -> None:
    for view in views:
        owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(view)))


def folded(database: Database) -> plain_views.Tables:
    return plain_views.fold(histories.read_log(database.url))


def at(connection: psycopg.Connection) -> set[int]:
    return {row[0] for row in connection.execute("SELECT position FROM view_positions")}


@pytest.mark.parametrize("view", VIEWS, ids=VIEW_NAMES)
def test_each_view_alone_is_made_anew(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int, view: View
) -> None:
    histories.History(ledger, seed).write(150)
    advance(owner)
    damage(owner, view.name)
    before, known = shape(owner, view.name), tables(owner)
    done = Rebuild(database.owner_url, [view], step=17).run()
    assert done.position == ledger.head()
    assert plain_views.read_tables(database.url) == folded(database)
    assert shape(owner, view.name) == before
    assert tables(owner) == known


def test_all_views_keep_their_shape_names_and_grants(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    histories.History(ledger, seed).write(150)
    owner.execute("ALTER TABLE images SET (fillfactor = 90)")
    owner.execute("CREATE UNIQUE INDEX one_key ON images (id) INCLUDE (title) WHERE ordinal > 1")
    owner.execute("ALTER TABLE transactions ADD CONSTRAINT has_type CHECK (type <> '')")
    owner.execute("GRANT SELECT ON balances TO PUBLIC")
    before = {view: shape(owner, view) for view in VIEW_NAMES}
    known = tables(owner)
    for _ in range(2):
        Rebuild(database.owner_url, VIEWS, step=50).run()
        assert {view: shape(owner, view) for view in VIEW_NAMES} == before
        assert tables(owner) == known
        assert plain_views.read_tables(database.url) == folded(database)
    # The application's role folds on into the new tables.
    histories.History(ledger, seed + 1).write(50)
    with psycopg.connect(database.url, autocommit=True) as application:
        advance(application)
    assert plain_views.read_tables(database.url) == folded(database)


def test_an_empty_log_leads_to_empty_views(database: Database) -> None:
    assert Rebuild(database.owner_url, VIEWS).run().events == 0
    assert not any(plain_views.read_tables(database.url).values())


STALL_MILLISECONDS_MAX = 100 * swap.LOCK_MILLISECONDS_MAX
SWAPPING = """
SELECT count(*) FROM pg_locks
WHERE relation = 'images'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted"""
WAITING = "SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted"


class CutError(Exception):
    """The rebuild dies here."""


def cut_short(database: Database, *, after: int) -> None:
    """A rebuild that ends in the middle, its rows and checkpoints committed."""

    def tell(progress: Progress) -> None:
        if progress.done >= after:
            raise CutError

    with pytest.raises(CutError):
        Rebuild(database.owner_url, VIEWS, step=5, tell=tell).run()


def test_it_goes_on_where_it_was_cut_short(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    histories.History(ledger, seed).write(200)
    cut_short(database, after=100)
    assert shadow_name(VIEWS[0]) in tables(owner)
    done = Rebuild(database.owner_url, VIEWS).run()
    assert done.resumed_at >= 100
    assert done.events == 4 * ledger.head() - done.resumed_at
    assert plain_views.read_tables(database.url) == folded(database)


def test_no_range_is_filled_twice(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    histories.History(ledger, seed).write(60)
    for view in VIEWS:
        checkpoint.begin(owner, view, restart=True)
    checkpoint.fill(owner, VIEWS[1:], 10, 20)
    for after, upto in ((10, 20), (15, 25), (0, 11), (12, 13)):
        with pytest.raises(RebuildInterruptedError, match="another process has filled"):
            checkpoint.fill(owner, VIEWS[1:], after, upto)
    assert {each.events for each in checkpoint.filled(owner).values()} == {0, 10}
    assert Rebuild(database.owner_url, VIEWS).run().resumed_at == 30
    assert plain_views.read_tables(database.url) == folded(database)


def test_no_range_is_filled_by_two_at_once(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    """Neither sees what the other has not committed: whoever comes second takes it all back."""
    histories.History(ledger, seed).write(60)
    images = VIEWS[-1:]
    checkpoint.begin(owner, images[0], restart=True)
    with ThreadPoolExecutor(1) as threads, psycopg.connect(database.owner_url) as other:
        with owner.transaction():
            checkpoint.fill(owner, images, 0, 50)
            late = threads.submit(checkpoint.fill, other, images, 40, 60)
            with psycopg.connect(database.owner_url, autocommit=True) as watching:
                until = time.monotonic() + WAIT_SECONDS_MAX
                while watching.execute(WAITING, (other.info.backend_pid,)).fetchone() == (0,):
                    assert time.monotonic() < until, "nobody waits"
        with pytest.raises(RebuildInterruptedError, match="another process has filled images"):
            late.result(WAIT_SECONDS_MAX)
    assert checkpoint.filled(owner)["images"].events == 50
    Rebuild(database.owner_url, VIEWS).run()
    assert plain_views.read_tables(database.url) == folded(database)


def test_restart_begins_again_and_clears_leftovers(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    histories.History(ledger, seed).write(200)
    known = tables(owner)
    cut_short(database, after=100)
    damage(owner, *(shadow_name(view) for view in VIEWS))
    owner.execute("CREATE TABLE balances_replaced (x integer)")
    done = Rebuild(database.owner_url, VIEWS, restart=True).run()
    assert done.resumed_at == 0
    assert plain_views.read_tables(database.url) == folded(database)
    assert tables(owner) == known


def test_a_second_one_is_refused(ledger: Ledger, database: Database, seed: int) -> None:
    histories.History(ledger, seed).write(50)
    refused: list[str] = []

    def tell(_: Progress) -> None:
        if not refused:
            with pytest.raises(RebuildRefusedError) as caught:
                Rebuild(database.owner_url, VIEWS).run()
            refused.append(str(caught.value))

    Rebuild(database.owner_url, VIEWS, tell=tell).run()
    assert refused == ["another rebuild is running: wait until it has ended"]


def test_the_application_s_role_is_refused_by_name_of_the_setting(database: Database) -> None:
    with pytest.raises(RebuildRefusedError, match="MIGRATION_DATABASE_URL"):
        Rebuild(database.url, VIEWS).run()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE VIEW rich AS SELECT * FROM balances", "the view rich reads it"),
        (
            "CREATE TRIGGER no BEFORE DELETE ON balances EXECUTE FUNCTION refuse_change()",
            "it has the trigger no",
        ),
        ("CREATE TABLE t (a text REFERENCES balances)", "foreign key t_a_fkey hangs on it"),
        ("ALTER TABLE balances ENABLE ROW LEVEL SECURITY", "it has row security"),
    ],
)
def test_what_would_be_lost_is_refused(
    database: Database, owner: psycopg.Connection, statement: str, reason: str
) -> None:
    owner.execute(statement.encode())
    with pytest.raises(RebuildRefusedError, match=reason):
        Rebuild(database.owner_url, VIEWS).run()


def test_a_long_reader_is_waited_for_without_stalling_the_others(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    histories.History(ledger, seed).write(100)
    advance(owner)
    damage(owner, "images")
    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(database.url) as long,
        psycopg.connect(database.url, autocommit=True) as reader,
    ):
        long.execute("SELECT count(*) FROM images")  # in a transaction that stays open
        # Whoever queues behind a swap that waits for the long reader would wait as long.
        reader.execute(f"SET statement_timeout = {STALL_MILLISECONDS_MAX}".encode())
        running = threads.submit(Rebuild(database.owner_url, VIEWS).run)
        until = time.monotonic() + WAIT_SECONDS_MAX
        for _ in range(3):
            while owner.execute(SWAPPING).fetchone() == (0,):
                assert time.monotonic() < until, "nobody tries to swap"
            reader.execute("SELECT count(*) FROM images")
        assert not running.done()
        histories.History(ledger, seed + 1).write(20)
        long.rollback()
        # What comes between the last fold and the swap is the projector's.
        assert running.result(WAIT_SECONDS_MAX).position <= ledger.head()
    while advance(owner):
        pass
    assert plain_views.read_tables(database.url) == folded(database)


def test_a_reader_that_never_ends_is_named_and_nothing_is_lost(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    histories.History(ledger, seed).write(50)
    advance(owner)
    with psycopg.connect(database.url) as long:
        long.execute("SELECT count(*) FROM images")
        with pytest.raises(RebuildInterruptedError, match=str(long.info.backend_pid)):
            Rebuild(database.owner_url, VIEWS, swap_seconds_max=0.1).run()
    done = Rebuild(database.owner_url, VIEWS).run()
    assert done.events == 0
    assert plain_views.read_tables(database.url) == folded(database)


WAITED = """
SELECT count(*) FROM pg_locks
WHERE relation = 'images'::regclass AND NOT granted
    AND waitstart < clock_timestamp() - interval '1 s'"""


def test_a_vacuum_is_waited_for_until_it_gives_way(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    """The server ends an autovacuum for whoever has waited for a second, and only then."""
    histories.History(ledger, seed).write(50)
    with ThreadPoolExecutor(1) as threads, psycopg.connect(database.owner_url) as vacuum:
        vacuum.execute("LOCK TABLE images IN SHARE UPDATE EXCLUSIVE MODE")
        running = threads.submit(
            Rebuild(database.owner_url, VIEWS, swap_seconds_max=WAIT_SECONDS_MAX).run
        )
        until = time.monotonic() + WAIT_SECONDS_MAX
        while owner.execute(WAITED).fetchone() == (0,):
            assert time.monotonic() < until, "nobody waits for a second"
            assert not running.done()
        vacuum.rollback()
        running.result(WAIT_SECONDS_MAX)
    assert plain_views.read_tables(database.url) == folded(database)


def test_a_fact_that_a_view_does_not_know_stops_it_and_leaves_the_live_view(
    ledger: Ledger, database: Database, owner: psycopg.Connection
) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=50))
    asked = histories.request("a")
    histories.record(ledger, asked)
    histories.settle(ledger, asked)
    advance(owner)
    before = plain_views.read_tables(database.url)
    images = VIEWS[-1]
    blind = msgspec.structs.replace(
        images, topics=tuple(t for t in images.topics if t != "tokens_consumed:1")
    )
    with pytest.raises(RebuildStoppedError, match="stopped at position 4: images does not know"):
        Rebuild(database.owner_url, [*VIEWS[:-1], blind]).run()
    assert plain_views.read_tables(database.url) == before
    assert failures.failures(owner) == []
    # A version that knows it goes on from there.
    Rebuild(database.owner_url, VIEWS).run()
    assert plain_views.read_tables(database.url) == before


def test_it_frees_a_view_that_has_stopped(
    ledger: Ledger, database: Database, owner: psycopg.Connection
) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=50))
    owner.execute(
        "INSERT INTO balances SELECT account_id, true, 0, 0, 1, 1 FROM ledger_events LIMIT 1"
    )
    failures.record(owner, "balances", 0, "broken")
    Rebuild(database.owner_url, [VIEWS[0]]).run()
    assert failures.failures(owner) == []
    advance(owner)
    assert plain_views.read_tables(database.url) == folded(database)


def test_what_a_projector_folds_just_before_the_swap_is_in_the_new_tables(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    history = histories.History(ledger, seed)
    history.write(100)

    def tell(progress: Progress) -> None:
        if progress.phase == "swapping":
            history.write(20)
            advance(owner)

    Rebuild(database.owner_url, VIEWS, tell=tell).run()
    assert at(owner) == {ledger.head()}
    assert plain_views.read_tables(database.url) == folded(database)


def test_a_projector_in_the_middle_of_its_range_is_not_overtaken(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    history = histories.History(ledger, seed)
    history.write(100)
    moved = threading.Event()

    def project() -> None:
        with psycopg.connect(database.url) as connection, connection.transaction():
            advance(connection)  # in a transaction that ends while the swap waits for it
            moved.set()
            time.sleep(swap.LOCK_MILLISECONDS_MAX / 2000)

    with ThreadPoolExecutor(1) as threads:

        def tell(progress: Progress) -> None:
            if progress.phase == "swapping" and not moved.is_set():
                history.write(20)
                threads.submit(project)
                assert moved.wait(WAIT_SECONDS_MAX)

        Rebuild(database.owner_url, VIEWS, tell=tell).run()
    # Back where the shadows were would be right in the end, but older than what was shown.
    assert at(owner) == {ledger.head()}
    assert plain_views.read_tables(database.url) == folded(database)


def test_prepared_statements_go_on(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    histories.History(ledger, seed).write(50)
    advance(owner)
    with psycopg.connect(database.url, autocommit=True) as reader:
        query = b"SELECT * FROM transactions WHERE position > %s ORDER BY position"
        before = [reader.execute(query, (0,), prepare=True).fetchall() for _ in range(8)][-1]
        Rebuild(database.owner_url, VIEWS).run()
        assert reader.execute(query, (0,), prepare=True).fetchall() == before


def test_projectors_and_readers_run_all_the_while(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int
) -> None:
    history = histories.History(ledger, seed)
    history.write(100)
    advance(owner)
    stop = threading.Event()

    def project() -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            while not stop.is_set():
                advance(connection, limit=3)

    def write() -> None:
        while not stop.wait(0.01):  # or the log would outgrow the steps
            history.write(1)

    def read() -> int:
        seen = 0
        with psycopg.connect(database.url, autocommit=True) as connection:
            while not stop.is_set():
                row = connection.execute("SELECT count(*) FROM transactions").fetchone()
                assert row is not None
                assert row[0] >= seen, "rows were there and are gone"
                seen = row[0]
        return seen

    with ThreadPoolExecutor(5) as threads:
        working = [threads.submit(each) for each in (project, project, write, read, read)]
        try:
            for _ in range(8):
                Rebuild(database.owner_url, VIEWS, step=29).run()
        finally:
            stop.set()
        for each in working:
            each.result(WAIT_SECONDS_MAX)
    assert failures.failures(owner) == []
    while advance(owner):
        pass
    assert plain_views.read_tables(database.url) == folded(database)


@pytest.mark.parametrize("change", ["fold", "column", "grant"])
def test_what_another_version_has_filled_is_not_gone_on_with(
    ledger: Ledger, database: Database, owner: psycopg.Connection, seed: int, change: str
) -> None:
    """Cut off, upgraded, run again: no table holds rows of two folds, or of another shape."""
    histories.History(ledger, seed).write(80)
    advance(owner)
    images = VIEWS[-1]
    older = msgspec.structs.replace(
        images, writing=images.writing.replace("ordinal, title\n", "ordinal, 'older'\n")
    )
    with psycopg.connect(database.url) as long:
        long.execute("SELECT count(*) FROM images")
        filled = older if change == "fold" else images
        with pytest.raises(RebuildInterruptedError):
            Rebuild(database.owner_url, [filled], swap_seconds_max=0.1).run()
    match change:
        case "column":
            owner.execute("ALTER TABLE images ADD COLUMN more text")
        case "grant":
            owner.execute("GRANT SELECT ON images TO PUBLIC")
    before = shape(owner, "images")
    done = Rebuild(database.owner_url, [images]).run()
    assert done.resumed_at == 0
    assert shape(owner, "images") == before
    if change != "column":
        assert plain_views.read_tables(database.url) == folded(database)
