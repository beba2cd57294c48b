"""Balances then, explanations and timelines, held to the fold of the log at every place of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import databases
import histories
from api.audit.explanations import explanation_document
from ledger.account import Account
from ledger.entry import Entry
from ledger.ledger import Ledger
from ledger.snapshots import follow
from projections.audit import holds
from projections.audit.balances import Standing, standing_at
from projections.audit.explain import explain
from projections.audit.holds import holds_at
from projections.audit.timeline import timeline
from projections.errors import AfterLogError, BeforeAccountError, UnknownAccountError

COMMANDS = 60
# Not shrunk: each try is a database of its own, and the seed is short enough.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
seeds = st.integers(0, 2**32 - 1)
Connection = psycopg.Connection[Any]


@contextmanager
def written(server: databases.TestServer, seed: int) -> Iterator[tuple[Connection, list[Entry]]]:
    """A random history in a database of its own, and the whole log of it."""
    with server.database() as database:
        with Ledger(database.url) as ledger:
            histories.History(ledger, seed, accounts=3).write(COMMANDS)
        with psycopg.connect(database.url, autocommit=True) as connection:
            yield connection, histories.read_log(database.url)


def folds(log: list[Entry]) -> Iterator[tuple[int, dict[str, tuple[Account, Entry]]]]:
    """After each position: every account that there is, and its last entry."""
    accounts: dict[str, tuple[Account, Entry]] = {}
    for entry in log:
        before = accounts.get(entry.account_id)
        account = before[0] if before else Account(account_id=entry.account_id)
        accounts[entry.account_id] = follow(account, entry), entry
        yield entry.position, dict(accounts)


def check(connection: Connection, found: Standing, account: Account, entry: Entry) -> None:
    """The standing is the fold's, and so is what holds it."""
    assert (found.settled, found.held, found.is_member, found.version) == (
        account.settled,
        account.held,
        account.is_member,
        account.version,
    )
    assert (found.position, found.at) == (entry.position, entry.at)
    open_holds = holds_at(connection, found)
    assert open_holds.complete
    told = {hold.generation_id: hold.cost for hold in open_holds.listed}
    assert told == {id_: cost for id_, cost in account.holds.items() if cost}
    places = [hold.position for hold in open_holds.listed]
    assert places == sorted(places, reverse=True)


@settings(max_examples=5, phases=PHASES)
@given(seed=seeds)
def test_a_balance_at_a_position_or_a_time_is_the_fold_of_the_log_until_then(
    database_server: databases.TestServer, seed: int
) -> None:
    with written(database_server, seed) as (connection, log), pytest.MonkeyPatch.context() as patch:
        patch.setattr(holds, "_STEP_MIN", 2)
        patch.setattr(holds, "_STEP_MAX", 4)
        names = {entry.account_id for entry in log}
        for position, accounts in folds(log):
            at = log[position - 1].at
            later = log[position].at if position < len(log) else None
            for name in names:
                if name not in accounts:
                    with pytest.raises(BeforeAccountError) as early:
                        standing_at(connection, name, position=position)
                    assert early.value.position > position
                    continue
                check(connection, standing_at(connection, name, position=position), *accounts[name])
                if later == at:
                    continue
                # At the very time, and at any until the next event.
                between = at if later is None else later - timedelta(microseconds=1)
                for moment in {at, between}:
                    found = standing_at(connection, name, at=moment)
                    check(connection, found, *accounts[name])
        for name, (account, entry) in accounts.items():
            check(connection, standing_at(connection, name), account, entry)
            with pytest.raises(AfterLogError):
                standing_at(connection, name, position=len(log) + 1)
            with pytest.raises(AfterLogError):
                standing_at(connection, name, at=log[-1].at + timedelta(hours=1))
        with pytest.raises(UnknownAccountError):
            standing_at(connection, "nobody", position=1)


@settings(max_examples=5, phases=PHASES)
@given(seed=seeds, data=st.data())
def test_an_explanation_adds_up_to_the_fold_in_numbers_and_in_words(
    database_server: databases.TestServer, seed: int, data: st.DataObject
) -> None:
    with written(database_server, seed) as (connection, log):
        places = list(folds(log))
        chosen = data.draw(st.lists(st.sampled_from(places), min_size=3, max_size=8))
        for position, accounts in [*chosen, places[-1]]:
            for name, (account, entry) in accounts.items():
                told = explain(connection, name, position=position)
                assert told.adds_up
                assert told.totals.settled == account.settled == told.standing.settled
                assert told.totals.held == account.held == told.standing.held
                paid = sum(cost > 0 for cost in account.holds.values())
                assert told.totals.open_holds == paid
                assert told.totals.outcomes["open"] == len(account.holds)
                assert told.standing.version == entry.version
                document = explanation_document(told, "en")
                check_words(document.lines, account)


def check_words(lines: list[str], account: Account) -> None:
    """The sums on the page are right, and come to the account's numbers."""
    text = "\n".join(lines)
    (found,) = re.findall(r"^(.*) = (\d+) settled$", text, re.MULTILINE)
    terms, settled = found
    spoken = [int(term) for term in terms.replace("− ", "-").replace("+ ", "").split()]
    assert sum(spoken) == int(settled) == account.settled
    (sums,) = re.findall(r"^(\d+) settled − (\d+) held = (\d+) available$", text, re.MULTILINE)
    assert tuple(map(int, sums)) == (account.settled, account.held, account.available)
    listed = re.findall(r"^  .*: ([+−]?\d+) \(\d+×\)$", text, re.MULTILINE)
    assert [int(each.replace("−", "-")) for each in listed] == spoken or not listed
    held = re.findall(r"^  (\d+): .*[0-9a-f]{12}$", text, re.MULTILINE)
    assert sum(map(int, held)) == account.held
    assert f"{account.available} tokens available" in lines[0]


@settings(max_examples=5, phases=PHASES)
@given(seed=seeds, limit=st.integers(1, 30))
def test_a_timeline_has_every_event_once_and_what_each_changed(
    database_server: databases.TestServer, seed: int, limit: int
) -> None:
    with written(database_server, seed) as (connection, log):
        for name in {entry.account_id for entry in log}:
            stream = [entry for entry in log if entry.account_id == name]
            lines = timeline(connection, name, limit=limit)
            while lines[-1].version > 1:
                page = timeline(connection, name, before=lines[-1].version, limit=limit)
                assert page[0].version < lines[-1].version
                lines += page
            assert [line.position for line in lines] == [e.position for e in reversed(stream)]
            before = Account(account_id=name)
            for line, entry in zip(reversed(lines), stream, strict=True):
                after = follow(before, entry)
                assert (line.settled, line.held) == (after.settled, after.held)
                assert line.available == after.available
                assert line.amount == after.settled - before.settled
                assert line.held_change == after.held - before.held
                assert (line.type, line.at) == (type(entry.fact).__name__, entry.at)
                before = after
