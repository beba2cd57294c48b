"""Random histories through the real ledger: every command, refusals and repetitions included."""

import contextlib
import random
from typing import Any
from uuid import UUID

import psycopg

from ledger.codec import decode_entry
from ledger.commands import (
    ChangeMembership,
    Command,
    GrantTokens,
    OpenAccount,
    RefundGeneration,
    ReleaseGeneration,
    RequestGeneration,
    RevokeTokens,
    SettleGeneration,
    Submission,
)
from ledger.entry import Entry
from ledger.errors import Refusal
from ledger.facts import ImageRecord, PromptVersion, StoredReference, TokensConsumed
from ledger.identity import new_id
from ledger.ledger import Ledger

TITLES = ("梦幻森林", "100% Ärger", r"a_b\c", "Future City", "星空夜景")


def image(title: str = "x") -> ImageRecord:
    name = new_id()
    return ImageRecord(
        id=name,
        key=f"a/{name}/1.png",
        thumbnail_key=f"a/{name}/1.webp",
        sha256="ab" * 32,
        mime_type="image/png",
        width=256,
        height=128,
        bytes=1234,
        model=f"model-{title[:1]}",
        usage={"total": 3},
    )


def request(
    account_id: str,
    *,
    cost: int = 5,
    count: int = 1,
    title: str = "梦幻森林",
    reference: StoredReference | None = None,
) -> RequestGeneration:
    return RequestGeneration(
        account_id=account_id,
        generation_id=new_id(),
        prompt=PromptVersion(id="prompt-1", version=2, title=title, token_cost=cost),
        members_only=False,
        count=count,
        aspect_ratio="16:9",
        reference=reference,
    )


def record(ledger: Ledger, command: Command) -> Entry:
    """Record one command that must be accepted; the first of its entries."""
    return ledger.record(Submission(command=command, actor="cli")).entries[0]


def settle(ledger: Ledger, asked: RequestGeneration) -> Entry:
    images = tuple(image(asked.prompt.title) for _ in range(asked.count))
    return record(
        ledger,
        SettleGeneration(
            account_id=asked.account_id, generation_id=asked.generation_id, images=images
        ),
    )


def read_log(url: str) -> list[Entry]:
    """The whole log in its order."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT row_to_json(e)::text FROM ledger_events AS e ORDER BY position"
        )
        return [decode_entry(row[0]) for row in rows]


class History:
    """Writes random commands; the same `seed` writes the same ones, but for their ids."""

    def __init__(self, ledger: Ledger, seed: int, *, accounts: int = 5) -> None:
        self._ledger = ledger
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._accounts = [f"account-{i}" for i in range(accounts)]
        self._open: list[RequestGeneration] = []
        self._charged: list[tuple[str, UUID, int]] = []
        # Opened with tokens first, or a short history might be refused as a whole; but for the
        # last, which commands find missing until one of them opens it.
        self._openings = [
            OpenAccount(account_id=account_id, is_member=True, tokens=100)
            for account_id in self._accounts[:-1]
        ]

    def write(self, commands: int) -> None:
        """Try that many commands; those refused leave no trace."""
        for _ in range(commands):
            command = self._openings.pop() if self._openings else self._choose()
            with contextlib.suppress(Refusal):
                self._ledger.record(Submission(command=command, actor="cli"))
                self._remember(command)

    def _remember(self, command: Command) -> None:
        if isinstance(command, RequestGeneration):
            self._open.append(command)
        elif isinstance(command, SettleGeneration):
            ending = self._ledger.ending(command.generation_id)
            # It may have ended otherwise before; then nothing was charged.
            if ending and isinstance(ending.fact, TokensConsumed) and ending.fact.cost:
                charged = (command.account_id, command.generation_id, ending.fact.cost)
                self._charged.append(charged)

    def _choose(self) -> Command:
        account_id = self._random.choice(self._accounts)
        weights: dict[Any, int] = {
            self._open_account: 2,
            self._member: 1,
            self._grant: 3,
            self._revoke: 1,
            self._request: 6,
            self._settle: 4,
            self._release: 2,
            self._refund: 1,
        }
        chosen = self._random.choices(list(weights), list(weights.values()))[0]
        command: Command = chosen(account_id)
        return command

    def _open_account(self, account_id: str) -> Command:
        tokens = self._random.choice((0, 0, 100))
        return OpenAccount(account_id=account_id, is_member=self._coin(), tokens=tokens)

    def _member(self, account_id: str) -> Command:
        return ChangeMembership(account_id=account_id, is_member=self._coin())

    def _grant(self, account_id: str) -> Command:
        return GrantTokens(
            account_id=account_id,
            amount=self._random.randrange(1, 200),
            reason=self._random.choice(("welcome", "purchase", "promo", "adjustment")),
            reference=self._random.choice((None, "invoice-1", "invoice-2")),
        )

    def _revoke(self, account_id: str) -> Command:
        amount = self._random.randrange(1, 50)
        return RevokeTokens(account_id=account_id, amount=amount, note_id=new_id())

    def _request(self, account_id: str) -> Command:
        reference = StoredReference(key="r/1.png", sha256="cd", mime_type="image/png", bytes=9)
        return request(
            account_id,
            cost=self._random.choice((0, 5, 10)),
            count=self._random.randrange(1, 5),
            title=self._random.choice(TITLES),
            reference=reference if self._coin() else None,
        )

    def _settle(self, account_id: str) -> Command:
        asked = self._asked() or request(account_id)
        images = tuple(image(asked.prompt.title) for _ in range(asked.count))
        return SettleGeneration(
            account_id=asked.account_id, generation_id=asked.generation_id, images=images
        )

    def _release(self, account_id: str) -> Command:
        asked = self._asked() or request(account_id)
        return ReleaseGeneration(
            account_id=asked.account_id,
            generation_id=asked.generation_id,
            reason=self._random.choice(("canceled", "blocked", "expired", "timeout")),
            retryable=self._coin(),
        )

    def _refund(self, account_id: str) -> Command:
        account_id, generation_id, charged = (
            self._random.choice(self._charged) if self._charged else (account_id, new_id(), 0)
        )
        return RefundGeneration(
            account_id=account_id, generation_id=generation_id, charged=charged, note_id=new_id()
        )

    def _asked(self) -> RequestGeneration | None:
        # Sometimes one that has ended already: then the first ending must win.
        if not self._open:
            return None
        at = self._random.randrange(len(self._open))
        return self._open[at] if self._random.random() < 0.2 else self._open.pop(at)

    def _coin(self) -> bool:
        return self._random.random() < 0.5
