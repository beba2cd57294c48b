import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import msgspec
import psycopg
import pytest
from psycopg import sql

import histories
import plain_views
from databases import Database
from ledger.commands import OpenAccount
from ledger.facts import FACT_TYPES
from ledger.ledger import Ledger
from projections import advance as advance_module
from projections.advance import advance
from projections.errors import UnknownFactError
from projections.failures import failures
from projections.level import lag
from projections.projector import POLL_SECONDS, RECONNECT_SECONDS_MAX, Projector
from projections.views import VIEWS, View

WAIT_SECONDS_MAX = 60.0


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    with Ledger(database.url) as ledger:
        yield ledger


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def seed() -> int:
    seed = random.SystemRandom().randrange(2**32)
    print(f"history of seed {seed}")
    return seed


@contextmanager
def running(database: Database, views: Sequence[View] = VIEWS) -> Iterator[Projector]:
    stop = threading.Event()
    projector = Projector(database.url, views=views)
    thread = threading.Thread(target=projector.run, args=(stop,))
    thread.start()
    try:
        yield projector
    finally:
        stop.set()
        thread.join(WAIT_SECONDS_MAX)
        assert not thread.is_alive()


def until(condition: Callable[[], bool], seconds: float = WAIT_SECONDS_MAX) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def positions(connection: psycopg.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT view, position FROM view_positions").fetchall())


def without_facts(names: set[str], topic: str) -> tuple[View, ...]:
    """The views, where those of `names` have never heard of `topic`."""
    return tuple(
        msgspec.structs.replace(v, topics=tuple(t for t in v.topics if t != topic))
        if v.name in names
        else v
        for v in VIEWS
    )


TRIED = """
SELECT attempts, extract(epoch FROM clock_timestamp() - failed_at)::float FROM view_failures"""


def all_due(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE view_failures SET retry_at = clock_timestamp()")


def test_every_view_knows_every_fact() -> None:
    for view in VIEWS:
        assert sorted(view.topics) == sorted(FACT_TYPES), view.name


def test_views_equal_a_plain_fold_of_the_log(
    ledger: Ledger, connection: psycopg.Connection, database: Database, seed: int
) -> None:
    history = histories.History(ledger, seed)
    for _ in range(4):
        history.write(100)
        advance(connection)
        tables = plain_views.read_tables(database.url)
        assert tables == plain_views.fold(histories.read_log(database.url))
    assert all(tables.values())
    assert lag(connection) == 0


def test_ranges_of_any_size_and_order_lead_to_the_same_tables(
    ledger: Ledger, connection: psycopg.Connection, database: Database, seed: int
) -> None:
    histories.History(ledger, seed).write(300)
    head = ledger.head()
    steps = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    with psycopg.connect(database.owner_url) as owner:
        for view in VIEWS:
            owner.execute(
                sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                    sql.Identifier(f"{view.name}_shadow"), sql.Identifier(view.name)
                )
            )
            cuts = [0, *sorted(steps.sample(range(1, head), head // 20)), head]
            ranges = list(pairwise(cuts))
            if view.any_order:
                steps.shuffle(ranges)
            for after, upto in ranges:
                view.fold(owner, after, upto, f"{view.name}_shadow")
    while advance(connection, limit=steps.randrange(1, 40)):
        pass
    assert set(positions(connection).values()) == {head}
    assert plain_views.read_tables(database.url) == plain_views.read_tables(
        database.owner_url, "_shadow"
    )


def test_views_at_different_positions_meet_at_the_end(
    ledger: Ledger, connection: psycopg.Connection, database: Database, seed: int
) -> None:
    histories.History(ledger, seed).write(100)
    advance(connection, views=VIEWS[1:2])
    advance(connection, views=VIEWS[2:3], limit=7)
    assert len(set(positions(connection).values())) == 3
    while advance(connection):
        pass
    assert plain_views.read_tables(database.url) == plain_views.fold(
        histories.read_log(database.url)
    )


# A view that adds up, so that an event applied twice shows; keys would refuse it in most others.
COUNTING = View(
    name="balances",
    reading="""
        account AS (
            SELECT account_id, count(*) AS events, max(position) AS last FROM ledger_facts
            WHERE position > %(after)s AND position <= %(upto)s GROUP BY account_id
        ), unknown AS (SELECT NULL::bigint AS position WHERE %(topics)s::text[] IS NULL)""",
    writing="""
        balances AS (
            INSERT INTO {balances} AS known
                (account_id, is_member, settled, held, version, position)
            SELECT account_id, true, 0, 0, events, last FROM account
            ON CONFLICT (account_id) DO UPDATE SET version = known.version + EXCLUDED.version
        )""",
    any_order=False,
)


def race(ledger: Ledger, database: Database, views: Sequence[View]) -> tuple[int, int]:
    """Two advancers that have both read the same positions; by how many events each moved."""
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=50))
    asked = histories.request("a")
    histories.record(ledger, asked)
    histories.settle(ledger, asked)
    with (
        psycopg.connect(database.url, autocommit=True) as holder,
        psycopg.connect(database.url, autocommit=True) as first,
        psycopg.connect(database.url, autocommit=True) as second,
        ThreadPoolExecutor(2) as threads,
    ):
        with holder.transaction():
            # Both have read the positions by the time that either may move one.
            holder.execute("LOCK TABLE view_positions IN SHARE ROW EXCLUSIVE MODE")
            moved = [threads.submit(advance, each, views=views) for each in (first, second)]
            until(lambda: waiting_for_locks(database) == 2)
        return moved[0].result(WAIT_SECONDS_MAX), moved[1].result(WAIT_SECONDS_MAX)


def waiting_for_locks(database: Database) -> int:
    with psycopg.connect(database.superuser_url) as connection:
        row = connection.execute(
            "SELECT count(DISTINCT pid) FROM pg_locks"
            " JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = %s",
            [database.name],
        ).fetchone()
    assert row
    return int(row[0])


def test_two_advancers_apply_each_event_once(
    ledger: Ledger, connection: psycopg.Connection, database: Database
) -> None:
    assert sorted(race(ledger, database, VIEWS)) == [0, 4]
    assert failures(connection) == []
    assert plain_views.read_tables(database.url) == plain_views.fold(
        histories.read_log(database.url)
    )


def test_two_advancers_count_each_event_once(
    ledger: Ledger, connection: psycopg.Connection, database: Database
) -> None:
    assert sorted(race(ledger, database, [COUNTING])) == [0, 4]
    assert connection.execute("SELECT version FROM balances").fetchall() == [(4,)]


def test_without_compare_and_set_each_event_would_count_twice(
    ledger: Ledger,
    connection: psycopg.Connection,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unguarded = b"UPDATE view_positions SET position = %s WHERE view = %s AND %s >= 0"
    monkeypatch.setattr(advance_module, "_MOVE", unguarded)
    assert race(ledger, database, [COUNTING]) == (4, 4)
    assert connection.execute("SELECT version FROM balances").fetchall() == [(8,)]


def test_killed_in_the_middle_leaves_rows_and_positions_together(
    ledger: Ledger, connection: psycopg.Connection, database: Database, seed: int
) -> None:
    histories.History(ledger, seed).write(150)
    advance(connection, limit=50)
    log = histories.read_log(database.url)
    before = plain_views.read_tables(database.url)
    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(database.url, autocommit=True) as victim,
        psycopg.connect(database.owner_url) as holder,
    ):
        # The images come last: everything else is folded, and the kill finds it uncommitted.
        holder.execute("LOCK TABLE images IN SHARE MODE")
        dying = threads.submit(advance, victim)
        until(lambda: waiting_for_locks(database) == 1)
        assert plain_views.read_tables(database.url) == before
        with psycopg.connect(database.superuser_url) as superuser:
            superuser.execute("SELECT pg_terminate_backend(%s)", [victim.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            dying.result(WAIT_SECONDS_MAX)
    assert set(positions(connection).values()) == {50}
    assert plain_views.read_tables(database.url) == before == plain_views.fold(log[:50])
    while advance(connection):
        pass
    assert plain_views.read_tables(database.url) == plain_views.fold(log)


def test_an_unknown_fact_stops_its_view_in_front_of_it_and_nothing_else(
    ledger: Ledger, connection: psycopg.Connection, database: Database
) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=50))
    asked = histories.request("a")
    histories.record(ledger, asked)
    histories.settle(ledger, asked)
    views = without_facts({"images"}, "tokens_consumed:1")
    with running(database, views) as projector:
        until(lambda: projector.failure is not None)
        assert positions(connection) == {
            "balances": 4,
            "transactions": 4,
            "generations": 4,
            "images": 3,
        }
        # Readiness in another process sees it, too.
        (failure,) = failures(connection)
        assert (failure.view, failure.position) == ("images", 3)
        assert failure.problem == "images does not know tokens_consumed:1 at position 4"
        assert failure.problem in str(projector.failure)
        # The others follow on, and so does writing.
        histories.record(ledger, histories.request("a"))
        until(lambda: positions(connection)["balances"] == 5)
        assert positions(connection)["images"] == 3
        # Not tried on every wake-up, but when it is due, ever less often.
        until(lambda: failures(connection)[0].attempts > 2)
        (tried,) = connection.execute(TRIED).fetchall()
        assert tried[1] >= sum(2**wait for wait in range(1, tried[0]))
    # A version that knows the fact picks it up.
    all_due(database)
    advance(connection)
    assert failures(connection) == []
    assert positions(connection)["images"] == 5
    assert plain_views.read_tables(database.url) == plain_views.fold(
        histories.read_log(database.url)
    )


def test_an_unknown_fact_fails_before_anything_is_written(
    ledger: Ledger, database: Database
) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=50))
    for view in without_facts({v.name for v in VIEWS}, "tokens_granted:1"):
        with psycopg.connect(database.url) as connection:
            with pytest.raises(UnknownFactError) as caught, connection.transaction():
                view.fold(connection, 0, 2)
            assert (caught.value.view, caught.value.position) == (view.name, 2)
            assert caught.value.topic == "tokens_granted:1"
    assert not any(plain_views.read_tables(database.url).values())


def test_a_fold_that_the_database_refuses_stops_its_view_only(
    ledger: Ledger, connection: psycopg.Connection, database: Database
) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=50))
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("ALTER TABLE transactions ADD CHECK (amount < 50)")
    assert advance(connection) == 2
    (failure,) = failures(connection)
    assert (failure.view, failure.position) == ("transactions", 0)
    assert "CheckViolation" in failure.problem
    assert positions(connection)["balances"] == 2
    assert lag(connection) == 2
    assert advance(connection) == 0
    assert failures(connection)[0].attempts == 1


def test_a_lost_connection_is_made_again(
    ledger: Ledger, connection: psycopg.Connection, database: Database
) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=50))
    with running(database) as projector:
        until(lambda: lag(connection) == 0)
        for _ in range(3):
            terminate_projector(database)
            histories.record(ledger, histories.request("a"))
            until(lambda: lag(connection) == 0)
        until(lambda: projector.failure is None)


def terminate_projector(database: Database) -> None:
    def kill() -> bool:
        with psycopg.connect(database.superuser_url) as superuser:
            return bool(
                superuser.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'mintage projector' AND datname = %s",
                    [database.name],
                ).fetchall()
            )

    until(kill)


def test_an_unreachable_database_is_named_and_asked_again(database: Database) -> None:
    stop = threading.Event()
    projector = Projector("host=127.0.0.1 port=1 dbname=nothing")
    thread = threading.Thread(target=projector.run, args=(stop,))
    thread.start()
    try:
        until(lambda: projector.failure is not None)
        assert projector.failure == "database out of reach: OperationalError"
        projector._url = database.url
        until(lambda: projector.failure is None, RECONNECT_SECONDS_MAX + WAIT_SECONDS_MAX)
    finally:
        stop.set()
        thread.join(WAIT_SECONDS_MAX)
    assert not thread.is_alive()


def test_a_missed_notification_delays_and_loses_nothing(
    ledger: Ledger,
    connection: psycopg.Connection,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ledger.log.NOTIFY", "SELECT 1")
    with running(database):
        for _ in range(3):
            account_id = f"a-{ledger.head()}"
            histories.record(ledger, OpenAccount(account_id=account_id, is_member=True, tokens=1))
            until(lambda: lag(connection) == 0)


@pytest.mark.alone
def test_a_notification_wakes_it_at_once_and_it_wakes_others(
    ledger: Ledger, connection: psycopg.Connection, database: Database
) -> None:
    histories.record(ledger, OpenAccount(account_id="a", is_member=True, tokens=50))
    connection.execute("LISTEN mintage_views")
    with running(database):
        until(lambda: lag(connection) == 0)
        list(connection.notifies(timeout=0.5, stop_after=1))
        waits = []
        for _ in range(5):
            histories.record(ledger, histories.request("a", cost=1))
            started = time.monotonic()
            assert list(connection.notifies(timeout=WAIT_SECONDS_MAX, stop_after=1))
            waits.append(time.monotonic() - started)
    assert sorted(waits)[2] < POLL_SECONDS / 4


def test_several_projectors_share_the_work_harmlessly(
    ledger: Ledger, connection: psycopg.Connection, database: Database, seed: int
) -> None:
    with running(database), running(database), running(database):
        histories.History(ledger, seed).write(300)
        until(lambda: lag(connection) == 0)
        assert failures(connection) == []
    assert plain_views.read_tables(database.url) == plain_views.fold(
        histories.read_log(database.url)
    )


def test_the_statements_take_only_what_a_rebuild_can_give() -> None:
    for view in VIEWS:
        assert f"INSERT INTO {{{view.name}}}" in view.writing
        assert f"INTO {view.name}" not in view.writing
        assert f"FROM {view.name}" not in view.writing
