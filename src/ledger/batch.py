"""One batch of commands against accounts that are level with the log: pure bookkeeping."""

from collections.abc import Mapping
from datetime import datetime
from typing import Generic
from uuid import UUID

import msgspec

from ledger.account import Account, evolve
from ledger.appending import Row, row
from ledger.codec import encode_fact, is_storable
from ledger.commands import Beside, Submission
from ledger.decide import decide
from ledger.entry import Entry, F_co
from ledger.errors import KeyReusedError, TermsChangedError, UnstorableTextError
from ledger.facts import Fact
from ledger.identity import fact_id, new_id


class Outcome(msgspec.Struct, Generic[F_co], frozen=True, array_like=True):
    """What became of a command: its entries, and the account's numbers after it.

    `replayed` says that the log had them already; without entries nothing needed doing.
    """

    entries: tuple[Entry[F_co], ...]
    settled: int
    held: int
    replayed: bool = False

    @property
    def available(self) -> int:
        """Tokens available after it."""
        return self.settled - self.held


class Batch:
    """Decides commands in order; each sees what the ones before it led to."""

    def __init__(
        self,
        position: int,
        at: datetime,
        accounts: dict[str, Account],
        known: Mapping[UUID, Entry],
        terms: UUID | None = None,
    ) -> None:
        """`known` holds the log's entries by fact id and by key id, as far as looked up.

        `terms` are those that commands which name any must name.
        """
        self.after = position
        self.position = position
        self.at = at
        self.at_text = at.isoformat()
        self.accounts = accounts
        self.known = {each.int: entry for each, entry in known.items()}  # whose hash is quick
        self.terms = terms
        self.rows: list[Row] = []
        self.refused: list[UUID] = []
        """Ids that the log must not have, or what was refused has been recorded before."""
        self.beside: list[Beside] = []

    def apply(self, submission: Submission) -> Outcome:
        """Decide one command and take its facts in.

        Raises `Refusal` or `TermsChangedError`, with nothing taken in.
        """
        command = submission.command
        account = self.accounts[command.account_id]
        key_id, first_id = submission.key_id, fact_id(command)
        known = self.known.get(first_id.int)
        if submission.terms not in {None, self.terms} and not known:
            raise TermsChangedError  # what stands in the log already was recorded on good ones
        if key_id and (earlier := self.known.get(key_id.int)):
            if earlier.input_hash != submission.input_hash:
                raise KeyReusedError
            return _outcome((earlier,), account, replayed=True)
        if known and known.account_id != account.account_id:
            known = None  # another's: not to be told of, and its id is not to be had
        facts = decide(account, command, self.at, known.fact if known else None)
        if not facts:
            return _outcome((known,) if known else (), account, replayed=known is not None)
        entries: list[Entry] = []
        rows: list[Row] = []
        for fact in facts:
            account = evolve(account, fact, self.at)
            first = not entries
            entry = Entry(
                position=self.position + len(entries) + 1,
                account_id=account.account_id,
                version=account.version,
                at=self.at,
                actor=submission.actor,
                fact_id=first_id if first else new_id(),
                key_id=key_id if first else None,
                input_hash=submission.input_hash if first else None,
                settled=account.settled,
                held=account.held,
                fact=fact,
            )
            entries.append(entry)
            rows.append(row(entry, _data(fact)))
        _check(submission)
        self.rows += rows
        self.beside += submission.beside
        self.position += len(entries)
        self.accounts[account.account_id] = account
        self.known[first_id.int] = entries[0]
        if key_id:
            self.known[key_id.int] = entries[0]
        return _outcome(tuple(entries), account)


def _outcome(entries: tuple[Entry, ...], account: Account, *, replayed: bool = False) -> Outcome:
    return Outcome(entries, account.settled, account.held, replayed)


def _data(fact: Fact) -> str:
    try:
        data = encode_fact(fact)
    except UnicodeEncodeError:  # half of a surrogate pair
        raise UnstorableTextError from None
    if not is_storable(data):
        raise UnstorableTextError
    return data.decode()


def _check(submission: Submission) -> None:
    """Raises `UnstorableTextError` for what would sink the whole batch, beside the facts."""
    if not submission.actor.isprintable():  # so it holds no separator either
        raise UnstorableTextError
    for beside in submission.beside:
        for text in beside.parameters:
            if isinstance(text, str) and ("\0" in text or not _is_unicode(text)):
                raise UnstorableTextError


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
