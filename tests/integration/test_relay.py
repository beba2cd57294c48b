"""One process a host writes for the others; whatever becomes of it, nothing is lost or doubled."""

import asyncio
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

import msgspec
import psycopg
import pytest

from databases import Database
from ledger.batch import Outcome
from ledger.bell import Bell
from ledger.commands import Beside, Command, Submission
from ledger.entry import Entry
from ledger.errors import (
    AmountOutOfRangeError,
    GenerationNotFoundError,
    InsufficientTokensError,
    KeyReusedError,
    LedgerError,
    PriceChangedError,
    RateLimitedError,
    UnstorableTextError,
)
from ledger.facts import Fact, GenerationRequested, TokensGranted
from ledger.identity import new_id
from ledger.ledger import Ledger
from ledger.relay import Relay, forms, guest, place
from ledger.relay import hub as hub_module
from ledger.relay.link import Link, LinkLostError
from ledger_running import (
    STEPS_BY,
    WAIT_SECONDS_MAX,
    result_of,
    running,
    steps_by,
    wait_until,
    whole_log,
    writers_locked,
)
from ledger_samples import (
    AT,
    consumed,
    failed,
    grant,
    keyed,
    opening,
    plain,
    release,
    request,
    requested,
    settle,
)

SUPPORT = Path(__file__).parents[1] / "support"
COMMITTERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'mintage committer'"""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    # Or a guest whose hub is slow to greet it would write for itself, which is right, and not what
    # is shown here.
    monkeypatch.setattr(place, "CONNECT_SECONDS_MAX", WAIT_SECONDS_MAX)


@pytest.fixture(autouse=True, params=STEPS_BY)
def _steps(request: pytest.FixtureRequest) -> Iterator[None]:
    with steps_by(request.param):
        yield


def sharing(url: str) -> AbstractContextManager[Ledger]:
    return running(url, shares_writer=True)


@contextmanager
def hub_process(url: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "relay_hub.py"), url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "hub AccountNotFoundError\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(name="hub")
def hub_fixture(database: Database) -> Iterator[Ledger]:
    with sharing(database.url) as hub:
        hub.record(plain(opening("ann", tokens=1000)))
        hub.record(plain(request(5, new_id())))
        yield hub


def is_guest(ledger: Ledger) -> bool:
    relay = ledger.committer._pipeline._relay
    return relay is not None and relay._guest is not None and relay._guest.is_welcome


def may_look(ledger: Ledger) -> bool:
    """Whether it may look for a hub with its next command, had it none."""
    relay = ledger.committer._pipeline._relay
    return relay is not None and time.monotonic() >= relay._try_at


def owed(ledger: Ledger) -> int:
    """How many of its commands a guest has handed to the hub and not heard of."""
    relay = ledger.committer._pipeline._relay
    return len(relay._guest._unanswered) if relay is not None and relay._guest is not None else 0


def taken_in(hub: Ledger) -> int:
    """How many commands a hub has that are not recorded: in writing, decided or in its queue."""
    pipeline = hub.committer._pipeline
    batches = (*pipeline._writing, pipeline._ahead, pipeline.job)
    decided = sum(len(batch.waiting) for batch in batches if batch is not None)
    return decided + len(pipeline._slow) + len(pipeline.waiting)


def committers(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(COMMITTERS).fetchone()
    assert row is not None
    return int(row[0])


def refusal(ledger: Ledger, submission: Any) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        ledger.record(submission)
    return caught.value


@pytest.mark.usefixtures("hub")
def test_a_guest_s_commands_are_written_by_the_hub(database: Database) -> None:
    with sharing(database.url) as other:
        first, second = new_id(), new_id()
        outcomes = [
            other.record(plain(request(5, first))),
            other.record(plain(settle(first))),
            other.record(plain(request(7, second))),
            other.record(plain(release(second))),
        ]
        assert committers(database.url) == 1
    log = whole_log(database.url)
    assert [outcome.entries for outcome in outcomes] == [(entry,) for entry in log[-4:]]
    assert [(each.settled, each.held) for each in outcomes] == [
        (entry.settled, entry.held) for entry in log[-4:]
    ]
    assert not any(outcome.replayed for outcome in outcomes)


def test_refusals_and_replays_come_back_as_they_are(hub: Ledger, database: Database) -> None:
    with sharing(database.url) as other:
        asked = keyed(request(5, new_id()), "k", given="same")
        first = other.record(asked)
        again = hub.record(keyed(request(5, new_id()), "k", given="same"))
        assert again.replayed
        assert other.record(keyed(request(5, new_id()), "k", given="same")) == again
        assert again.entries == first.entries
        assert isinstance(
            refusal(other, keyed(request(6, new_id()), "k", given="other")), KeyReusedError
        )
        short = refusal(other, plain(request(5000, new_id())))
        assert isinstance(short, InsufficientTokensError)
        assert (short.cost, short.available) == (5000, 1000 - first.held)
        assert isinstance(refusal(other, plain(settle(new_id()))), GenerationNotFoundError)
        assert committers(database.url) == 1


def test_what_brings_statements_along_or_is_rare_is_written_by_whoever_was_asked(
    hub: Ledger, database: Database
) -> None:
    with sharing(database.url) as other:
        other.record(plain(request(5, new_id())))
        assert committers(database.url) == 1
        assert other.record(plain(grant(1))).settled == 1001
        assert committers(database.url) == 2
        assert (
            hub.record(plain(request(5, new_id()))).settled
            == other.record(plain(request(5, new_id()))).settled
        )


def spend(ledger: Ledger, commands: int) -> list[Outcome | BaseException]:
    found: list[Outcome | BaseException] = []
    for _ in range(commands):
        try:
            found.append(ledger.record(plain(request(1, new_id()))))
        except LedgerError as error:
            found.append(error)
    return found


def test_a_hub_that_is_killed_loses_and_doubles_nothing(database: Database) -> None:
    callers, each = 8, 20
    with hub_process(database.url) as process, sharing(database.url) as one:
        one.record(plain(opening("ann", tokens=10_000)))
        with sharing(database.url) as two, ThreadPoolExecutor(2 * callers) as threads:
            one.record(plain(request(1, new_id())))
            two.record(plain(request(1, new_id())))
            with writers_locked(database.url):
                working = [
                    threads.submit(spend, ledger, each)
                    for ledger in (one, two)
                    for _ in range(callers)
                ]
                wait_until(lambda: owed(one) and owed(two), "what the hub cannot answer")
                process.send_signal(signal.SIGKILL)
                process.wait(WAIT_SECONDS_MAX)
            results = [result for each in working for result in each.result(WAIT_SECONDS_MAX)]
            # Who came while the dead one's place was still taken looks again a little later.
            wait_until(lambda: may_look(one) and may_look(two), "the time to look again")
            one.record(plain(request(1, new_id())))
            two.record(plain(request(1, new_id())))
            # One of the two listens now, and writes for the other.
            assert is_guest(one) is not is_guest(two)
    outcomes = [result for result in results if isinstance(result, Outcome)]
    assert len(outcomes) == len(results) == 2 * callers * each
    assert not any(outcome.replayed for outcome in outcomes)
    told = {entry for outcome in outcomes for entry in outcome.entries}
    asked = [e for e in whole_log(database.url) if isinstance(e.fact, GenerationRequested)]
    assert len(told) == len(outcomes) == len(asked) - 4
    assert told <= set(asked)


def test_a_hub_that_is_stopped_is_left(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = Mock(wraps=place.connect)
    with hub_process(database.url) as process, sharing(database.url) as other:
        other.record(plain(opening("ann", tokens=1000)))
        other.record(plain(request(1, new_id())))
        assert is_guest(other)
        process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(guest, "ANSWER_SECONDS_MAX", 0.5)
        monkeypatch.setattr(place, "CONNECT_SECONDS_MAX", 0.5)
        monkeypatch.setattr("ledger.relay.relay.RETRY_SECONDS", WAIT_SECONDS_MAX)
        monkeypatch.setattr(place, "connect", connect)
        began = time.monotonic()
        late = other.record(plain(request(1, new_id())))
        assert time.monotonic() - began > 0.4
        assert (late.held, late.replayed) == (2, False)
        held = [each.held for each in spend(other, 5) if isinstance(each, Outcome)]
        assert held == [3, 4, 5, 6, 7]
        assert connect.call_count == 1  # nobody waits for it again
        # What the hub had taken in stands in its socket: it is found in the log, not done again.
        process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
    assert len(whole_log(database.url)) == 2 + 7


def test_a_hub_that_is_slow_to_greet_is_gone_without_for_no_longer_than_that(
    hub: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "CONNECT_SECONDS_MAX", 0.05)
    connect = Mock(wraps=place.connect)
    monkeypatch.setattr(place, "connect", connect)
    with sharing(database.url) as other:
        with hub.committer._turn:  # as while it waits for the server
            assert other.record(plain(request(1, new_id()))).held == 6
            assert not is_guest(other)
        wait_until(lambda: is_guest(other), "to be greeted after all")
        with ThreadPoolExecutor(1) as thread, writers_locked(database.url):
            asked = thread.submit(other.record, plain(request(1, new_id())))
            wait_until(lambda: taken_in(hub) == 1, "it at the hub")
        assert isinstance(result_of(asked), Outcome)
    connect.assert_called_once()


def test_another_version_is_not_talked_to(database: Database) -> None:
    with hub_process(database.url), sharing(database.url) as other:
        other.record(plain(opening("ann", tokens=1000)))
        with patch.object(forms, "VERSION", b"of tomorrow"):
            assert other.record(plain(request(1, new_id()))).held == 1
            assert not is_guest(other)


@pytest.mark.usefixtures("hub")
def test_a_hub_does_not_greet_another_version(database: Database) -> None:
    version = bytes(reversed(forms.VERSION))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.settimeout(WAIT_SECONDS_MAX)
        stranger.connect(place.name_of(database.url))
        stranger.sendall(len(version).to_bytes(4, "big") + version)
        assert stranger.recv(100) == b""


def test_a_guest_does_not_trust_a_hub_of_another_version() -> None:
    ours, theirs = socket.socketpair()
    Link(theirs).send(bytes(reversed(forms.VERSION)))
    with pytest.raises(LinkLostError):
        guest.Guest(ours)
    assert ours.fileno() == -1
    theirs.close()


@pytest.mark.usefixtures("hub")
def test_a_hub_lets_another_user_go(database: Database) -> None:
    stranger = SimpleNamespace(is_own=lambda _: False)
    with sharing(database.url) as other, patch.object(hub_module, "place", stranger):
        assert other.record(plain(request(1, new_id()))).held == 6
        assert committers(database.url) == 2


@pytest.mark.usefixtures("hub")
def test_a_guest_does_not_trust_another_user(database: Database) -> None:
    name = place.name_of(database.url)
    with patch.object(os, "getuid", lambda: 12_345):
        assert place.connect(name) is None
    connected = place.connect(name)
    assert connected is not None
    connected.close()


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    "sent",
    [b"", b"\xff" * 100, b"\x00\x00\x00\x05hello", forms.VERSION, b"\x00\x00\x00\x20"],
    ids=["nothing", "too long", "no version", "no length", "half a message"],
)
def test_what_is_no_message_costs_nobody_else_anything(database: Database, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.connect(place.name_of(database.url))
        stranger.sendall(sent)
        with sharing(database.url) as other:
            assert other.record(plain(request(1, new_id()))).held == 6
            assert committers(database.url) == 1


def test_messages_come_whole_in_whatever_pieces_they_travel() -> None:
    messages = [bytes([number]) * size for number, size in enumerate([0, 3, 400_000, 70_000, 0, 9])]
    ours, theirs = socket.socketpair()
    one, other = Link(ours), Link(theirs)
    for message in messages:
        one.send(message)
    assert one.events & select.POLLOUT  # more than there is room for
    come: list[bytes] = []
    while len(come) < len(messages):
        come += other.receive()
        one.flush()
    assert come == messages
    assert one.events == select.POLLIN
    for byte in b"\x00\x00\x00\x02hi\x00\x00\x00\x01!":
        ours.send(bytes([byte]))
        come += other.receive()
    assert come[len(messages) :] == [b"hi", b"!"]
    one.close()
    other.close()


def test_a_welcome_guest_that_sends_rubbish_is_dropped(hub: Ledger, database: Database) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.settimeout(WAIT_SECONDS_MAX)
        stranger.connect(place.name_of(database.url))
        stranger.sendall(len(forms.VERSION).to_bytes(4, "big") + forms.VERSION)
        assert stranger.recv(100)[4:] == forms.VERSION
        stranger.sendall(b"\x00\x00\x00\x02\x91\xc0")
        assert stranger.recv(100) == b""
    assert hub.record(plain(request(1, new_id()))).held == 6


def test_a_hub_that_closes_answers_what_it_has_taken_in(database: Database) -> None:
    with (
        sharing(database.url) as hub,
        sharing(database.url) as other,
        ThreadPoolExecutor(12) as threads,
    ):
        hub.record(plain(opening("ann", tokens=1000)))
        hub.record(plain(request(1, new_id())))
        other.record(plain(request(1, new_id())))
        asked: list[Future[Outcome]] = []
        with writers_locked(database.url):
            asked += [threads.submit(other.record, plain(request(1, new_id()))) for _ in range(10)]
            wait_until(lambda: taken_in(hub) == len(asked), "all of them at the hub")
            closed = threads.submit(hub.close)
            time.sleep(0.1)
            assert not closed.done()
        closed.result(WAIT_SECONDS_MAX)
        results = [result_of(each) for each in asked]
        assert sorted(r.held for r in results if isinstance(r, Outcome)) == list(range(3, 13))
        assert other.record(plain(request(1, new_id()))).held == 13
    assert len(whole_log(database.url)) == 2 + 13


def test_a_hub_may_be_awake_when_it_is_closed(database: Database) -> None:
    call = Bell.call
    hub = Ledger(database.url, shares_writer=True)
    hub.record(plain(opening("ann", tokens=1000)))
    hub.record(plain(request(1, new_id())))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:

        def late(bell: Bell) -> None:
            stranger.connect(place.name_of(database.url))  # it wakes, and finds that it is closed
            time.sleep(0.2)
            call(bell)

        with patch.object(Bell, "call", late):
            hub.close()


@pytest.mark.usefixtures("hub")
def test_a_guest_that_closes_waits_for_its_answers(database: Database) -> None:
    with sharing(database.url) as closing, ThreadPoolExecutor(12) as threads:
        closing.record(plain(request(1, new_id())))
        with writers_locked(database.url):
            asked = [threads.submit(closing.record, plain(request(1, new_id()))) for _ in range(10)]
            wait_until(lambda: owed(closing) == len(asked), "all of them handed over")
            closed = threads.submit(closing.close)
            time.sleep(0.1)
            assert not closed.done()
        closed.result(WAIT_SECONDS_MAX)
        assert all(isinstance(result_of(each), Outcome) for each in asked)


def record_together(ledger: Ledger, commands: Sequence[Command]) -> list[Outcome | BaseException]:
    """In one turn of an event loop, and so handed over in one message."""

    async def main() -> list[Outcome | BaseException]:
        asked = [ledger.record_async(plain(command)) for command in commands]
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(main())


@pytest.mark.parametrize(("sent", "decided"), [(24, 24), (30, 16)], ids=["a half more", "too many"])
def test_what_came_in_one_message_goes_into_one_batch_where_that_is_not_much_larger(
    hub: Ledger, database: Database, sent: int, decided: int
) -> None:
    with sharing(database.url) as other, ThreadPoolExecutor(2) as threads:
        other.record(plain(request(1, new_id())))
        hub.record(plain(request(1, new_id())))
        with writers_locked(database.url):
            first = threads.submit(hub.record, plain(request(1, new_id())))
            wait_until(lambda: hub.committer._pipeline._writing, "a batch that is being written")
            asked = threads.submit(
                record_together, other, [request(1, new_id()) for _ in range(sent)]
            )
            wait_until(lambda: taken_in(hub) == 1 + sent, "all of them at the hub")
            wait_until(lambda: len(hub.committer._pipeline._writing) > 1, "the next at the server")
            assert len(hub.committer._pipeline._writing[1].waiting) == decided
        results = [result_of(first), *asked.result(WAIT_SECONDS_MAX)]
    assert all(isinstance(each, Outcome) for each in results)
    assert len(whole_log(database.url)) == 2 + 3 + 1 + sent


@pytest.mark.usefixtures("hub")
def test_what_cannot_be_said_in_a_message_is_told_so_and_the_others_are_recorded(
    database: Database,
) -> None:
    with sharing(database.url) as other:
        other.record(plain(request(1, new_id())))
        odd = [request(1, new_id(), aspect_ratio="\ud800"), request(1, new_id(), count=2**70)]
        good = [request(1, new_id()), request(1, new_id())]
        results = record_together(other, [good[0], odd[0], odd[1], good[1]])
        assert [type(each) for each in results] == [
            Outcome,
            UnstorableTextError,
            AmountOutOfRangeError,
            Outcome,
        ]
        assert is_guest(other)


def test_a_hub_that_is_lost_in_sending_loses_nothing_that_was_to_be_sent(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "COMMANDS_MAX", 2)
    with hub_process(database.url) as process, sharing(database.url) as other:
        other.record(plain(opening("ann", tokens=100)))
        other.record(plain(request(1, new_id())))
        assert is_guest(other)
        monkeypatch.setattr(Relay, "answered", lambda _: [])
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_SECONDS_MAX)
        odd = request(1, new_id(), aspect_ratio="\ud800")
        commands = [odd, *(request(1, new_id()) for _ in range(4))]
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(record_together, other, commands)
            results = asked.result(WAIT_SECONDS_MAX)
    assert [type(each) for each in results] == [UnstorableTextError, *[Outcome] * 4]
    assert len(whole_log(database.url)) == 2 + 1 + 4


@pytest.mark.parametrize(
    "fact",
    [requested(5), consumed(5), failed(5), TokensGranted(amount=5, reason="promo")],
    ids=lambda fact: type(fact).__name__,
)
@pytest.mark.parametrize("entries", [0, 1, 2])
def test_an_outcome_comes_back_as_it_is(fact: Fact, entries: int) -> None:
    entry = Entry(
        position=3,
        account_id="ann",
        version=2,
        at=AT,
        actor="key:1",
        fact_id=new_id(),
        settled=9,
        held=5,
        fact=fact,
        key_id=new_id(),
    )
    outcome = Outcome((entry,) * entries, 9, 5, replayed=True)
    assert forms.decode_answers(forms.encode_answers([(3, outcome)])) == [(3, outcome)]


@pytest.mark.parametrize(
    "error",
    [InsufficientTokensError(5, 3), PriceChangedError(7), RateLimitedError(9), LedgerError("x")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_keeps_what_it_says(error: LedgerError) -> None:
    ((number, found),) = forms.decode_answers(forms.encode_answers([(3, error)]))
    assert (number, type(found), vars(found)) == (3, type(error), vars(error))


@pytest.mark.parametrize(
    "rubbish",
    [
        {"error": "OfTomorrowError"},
        {"error": "InsufficientTokensError", "details": {"cost": 1}},
        {"error": "ACCOUNT_ID"},
        {"error": None, "rows": [b"{}"]},
        {"error": None, "rows": [b"["]},
    ],
    ids=str,
)
def test_an_answer_that_cannot_be_read_is_no_answer(rubbish: dict[str, Any]) -> None:
    message = msgspec.msgpack.encode(([], [], [], [forms._Answer(1, **rubbish)]))
    with pytest.raises(msgspec.DecodeError):
        forms.decode_answers(message)


@pytest.mark.parametrize(
    "asked",
    [
        plain(opening("ann")),
        plain(settle(new_id()), Beside(statement="SELECT 1", parameters=())),
    ],
    ids=["another kind", "a statement"],
)
def test_a_command_that_is_not_carried_is_not_taken(asked: Submission) -> None:
    assert not forms.can_carry(asked)
    with pytest.raises(msgspec.DecodeError):
        forms.decode_commands(forms.encode_commands(1, [asked]))


def test_a_hub_that_is_found_gone_only_in_sending_leaves_nobody_waiting(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_process(database.url) as process, sharing(database.url) as other:
        other.record(plain(opening("ann", tokens=100)))
        other.record(plain(request(1, new_id())))
        assert is_guest(other)
        monkeypatch.setattr(Relay, "answered", lambda _: [])  # nothing is heard of what follows
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_SECONDS_MAX)
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(other.record, plain(request(1, new_id())))
            assert asked.result(WAIT_SECONDS_MAX).held == 2
    assert len(whole_log(database.url)) == 2 + 2


def test_without_a_descriptor_for_a_hub_each_writes_for_itself(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "too many open files")

    with sharing(database.url) as alone:
        alone.record(plain(opening("ann", tokens=100)))
        with monkeypatch.context() as patched:
            patched.setattr(socket, "socket", none_left)
            assert alone.record(plain(request(1, new_id()))).held == 1
        assert alone.record(plain(request(1, new_id()))).held == 2
