"""What a command was decided on outside of the log: changed by now, and it is not recorded."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from cutting_proxy import CuttingProxy
from databases import Database
from ledger.accounts import SNAPSHOT_EVERY
from ledger.commands import Submission
from ledger.errors import KeyReusedError, TermsChangedError
from ledger.identity import new_id
from ledger.ledger import Ledger
from ledger.recording import Recording
from ledger_running import (
    STEPS_BY,
    WAIT_SECONDS_MAX,
    deciding_ahead,
    in_one_batch,
    result_of,
    running,
    wait_until,
    whole_log,
    writers_locked,
)
from ledger_samples import grant, keyed, opening, plain, request, settle

REVOKE = "UPDATE api_keys SET revoked_at = now()"
KEY = "INSERT INTO api_keys (id, account_id, role, name, hash) VALUES (%s, 'ann', 'user', '', %s)"
PROMPT = "INSERT INTO prompts (id, version) VALUES ('p', 1)"
VERSION = """
INSERT INTO prompt_versions (prompt_id, version, title, content, description, category,
    members_only, token_cost, actor) VALUES ('p', 1, 't', 'c', 'd', 'c', false, 5, 'test')"""
CHANGES = {
    "a key is revoked": REVOKE,
    "a key has another role": "UPDATE api_keys SET role = 'support'",
    "a key is deleted": "DELETE FROM api_keys",
    "all keys are gone": "TRUNCATE api_keys",
    "a prompt has another version": "UPDATE prompts SET version = 2",
    "a prompt is hidden": "UPDATE prompts SET hidden_at = now()",
    "a prompt is deleted": "DELETE FROM prompt_versions; DELETE FROM prompts",
    "a version is changed": "UPDATE prompt_versions SET token_cost = 6",
    "a version is deleted": "DELETE FROM prompt_versions",
    "all prompts are gone": "TRUNCATE prompts, prompt_versions",
}


def terms(url: str) -> UUID:
    with psycopg.connect(url) as connection:
        found: list[tuple[UUID]] = connection.execute("SELECT id FROM ledger_terms").fetchall()
    return found[0][0]


def change(url: str, statement: str = REVOKE) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def on(terms: UUID, submission: Submission) -> Submission:
    return msgspec.structs.replace(submission, terms=terms)


@pytest.fixture(name="ledger", params=STEPS_BY)
def ledger_fixture(request: pytest.FixtureRequest, database: Database) -> Iterator[Ledger]:
    with deciding_ahead(database.url, request.param) as ledger:
        yield ledger


def others_write(_: Ledger, database: Database) -> None:
    with running(database.url) as other:
        other.record(plain(grant(1)))


def a_snapshot_is_due(ledger: Ledger, _: Database) -> None:
    for __ in range(ledger.account("ann").version, SNAPSHOT_EVERY - 1):
        ledger.record(plain(grant(1)))


def nothing_else(_: Ledger, __: Database) -> None:
    """The batch is decided ahead and sent as one statement."""


@pytest.mark.parametrize("state", [nothing_else, others_write, a_snapshot_is_due])
def test_a_command_of_earlier_terms_is_not_recorded(
    ledger: Ledger, database: Database, state: Callable[[Ledger, Database], None]
) -> None:
    good = terms(database.url)
    ledger.record(on(good, plain(request(1, new_id()))))
    change(database.url)
    state(ledger, database)
    before, session = whole_log(database.url), ledger.committer._pipeline._recording._session
    with pytest.raises(TermsChangedError):
        ledger.record(on(good, plain(request(2, new_id()))))
    assert whole_log(database.url) == before
    assert ledger.committer._pipeline._recording._session is session
    state(ledger, database)
    outcome = ledger.record(on(terms(database.url), plain(request(2, new_id()))))
    assert outcome.held == 3
    assert ledger.record(plain(request(3, new_id()))).held == 6


@pytest.mark.parametrize("state", [nothing_else, others_write])
def test_the_others_of_its_batch_are_recorded(
    ledger: Ledger, database: Database, state: Callable[[Ledger, Database], None]
) -> None:
    old = terms(database.url)
    change(database.url)
    state(ledger, database)
    asked = [
        on(old, plain(request(1, new_id()))),
        plain(request(2, new_id())),
        on(terms(database.url), plain(request(4, new_id()))),
        on(old, plain(request(8, new_id()))),
        plain(grant(1)),
    ]
    told = in_one_batch(ledger, database.url, asked)
    names = [type(each).__name__ for each in told]
    changed = TermsChangedError.__name__
    assert names == [changed, "Outcome", "Outcome", changed, "Outcome"]
    assert ledger.account("ann").held == 6


def test_nobody_is_refused_on_earlier_terms(ledger: Ledger, database: Database) -> None:
    old = terms(database.url)
    change(database.url)
    asked = [plain(grant(1)), on(old, plain(request(1_000, new_id()))), plain(grant(1))]
    told = in_one_batch(ledger, database.url, asked)
    assert [type(each).__name__ for each in told] == ["Outcome", "TermsChangedError", "Outcome"]


def test_a_change_counts_while_the_lock_is_waited_for(ledger: Ledger, database: Database) -> None:
    """And what was decided meanwhile, on top of the command, does not sink with it."""
    good, pipeline = terms(database.url), ledger.committer._pipeline
    with ThreadPoolExecutor(2) as threads:
        with writers_locked(database.url):
            late = threads.submit(ledger.record, on(good, plain(request(90, new_id()))))
            wait_until(lambda: len(pipeline._writing) > 0, "a write under way")
            since = threads.submit(ledger.record, plain(request(20, new_id())))
            wait_until(
                lambda: pipeline._ahead and pipeline._ahead.waiting, "the other one found too dear"
            )
            change(database.url)
        assert isinstance(result_of(late), TermsChangedError)
        assert since.result(WAIT_SECONDS_MAX).held == 20


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_keys_or_prompts_changes_the_terms(database: Database, what: str) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute(KEY, (uuid4(), b"1" * 32))
        connection.execute(PROMPT)
        connection.execute(VERSION)
    before = terms(database.url)
    assert terms(database.url) == before
    # Truncating is not the application's to do.
    change(database.owner_url if "TRUNCATE" in CHANGES[what] else database.url, CHANGES[what])
    assert terms(database.url) != before


def test_what_is_new_leaves_the_terms_as_they_are(database: Database) -> None:
    before = terms(database.url)
    with psycopg.connect(database.url) as connection:
        connection.execute(KEY, (uuid4(), b"1" * 32))
        connection.execute(PROMPT)
        connection.execute(VERSION)
    assert terms(database.url) == before


def test_a_change_that_is_taken_back_changes_nothing(database: Database) -> None:
    before = terms(database.url)
    with psycopg.connect(database.url) as connection:
        connection.execute(REVOKE)
        connection.rollback()
    assert terms(database.url) == before


def test_a_guest_tells_the_hub_its_terms(database: Database) -> None:
    with (
        Ledger(database.url, shares_writer=True) as hub,
        Ledger(database.url, shares_writer=True) as guest,
    ):
        hub.record(plain(opening(tokens=100)))
        hub.record(plain(request(1, new_id())))
        good = terms(database.url)
        guest.record(on(good, plain(request(1, new_id()))))
        relay = guest.committer._pipeline._relay
        assert relay is not None
        assert relay._guest is not None
        change(database.url)
        refused = on(good, plain(request(1, new_id())))
        with pytest.raises(TermsChangedError):
            guest.record(refused)
        assert guest.record(on(terms(database.url), refused)).held == 3


def test_what_was_recorded_before_the_terms_changed_stays_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to COMMIT is lost, and the terms change before the log is asked."""
    retry = Recording.retry

    def retry_later(recording: Recording, *rest: Any) -> Any:
        change(database.url)
        return retry(recording, *rest)

    monkeypatch.setattr(Recording, "retry", retry_later)
    with CuttingProxy(database.url) as proxy, running(proxy.url) as ledger:
        ledger.record(plain(opening(tokens=100)))
        for make in (plain, lambda command: keyed(command, "k")):
            good = terms(database.url)
            ledger.record(plain(grant(1)))
            proxy.cut("after")
            outcome = ledger.record(on(good, make(request(2, new_id()))))
            assert not outcome.replayed
            assert good != terms(database.url)
        assert outcome.held == 4
        assert proxy.cuts == 2


def test_a_repetition_on_earlier_terms_is_not_answered(ledger: Ledger, database: Database) -> None:
    """Whoever may not ask any more is not told what was asked before."""
    good = terms(database.url)
    first = ledger.record(on(good, keyed(request(2, new_id()), "k", given="this")))
    again = keyed(request(2, new_id()), "k", given="this")
    change(database.url)
    with pytest.raises(TermsChangedError):
        ledger.record(on(good, again))
    assert ledger.record(on(terms(database.url), again)).entries == first.entries
    assert ledger.record(again).replayed
    with pytest.raises(KeyReusedError):
        ledger.record(keyed(request(2, new_id()), "k", given="other"))


def test_without_its_row_no_terms_are_good(ledger: Ledger, database: Database) -> None:
    good = terms(database.url)
    change(database.owner_url, "DELETE FROM ledger_terms")
    with pytest.raises(TermsChangedError):
        ledger.record(on(good, plain(request(2, new_id()))))
    assert ledger.record(plain(request(2, new_id()))).held == 2


def test_an_ending_needs_no_terms(ledger: Ledger, database: Database) -> None:
    asked = request(2, new_id())
    ledger.record(on(terms(database.url), plain(asked)))
    change(database.url)
    assert ledger.record(plain(settle(asked.generation_id))).settled == 99
