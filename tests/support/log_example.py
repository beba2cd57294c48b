"""The small history that docs/log.md asks: fixed ids and times, so that its answers are too."""

from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from ledger.account import Account, evolve
from ledger.codec import encode_entry
from ledger.entry import Entry
from ledger.facts import (
    AccountOpened,
    Attempt,
    Fact,
    FailureReason,
    GenerationFailed,
    GenerationRequested,
    ImageRecord,
    MembershipChanged,
    PromptVersion,
    TokensConsumed,
    TokensGranted,
    TokensRevoked,
)
from ledger.identity import ending_id, reference_id, refund_id
from ledger.ledger import Ledger

FOREST = PromptVersion(id="dreamy-forest", version=1, title="梦幻森林", token_cost=5)
CASTLE = PromptVersion(id="magic-castle", version=2, title="魔法城堡", token_cost=10)
NOTE = UUID("01b80000-0000-7000-8000-00000000000a")


def _id(number: int) -> UUID:
    return UUID(f"01b80000-0000-7000-8000-{number:012}")


def _at(day: int, time: str) -> datetime:
    return datetime.fromisoformat(f"2026-01-{day:02}T{time}").replace(tzinfo=UTC)


def _requested(number: int, prompt: PromptVersion, images: int) -> GenerationRequested:
    return GenerationRequested(
        generation_id=_id(number),
        prompt=prompt,
        count=images,
        aspect_ratio="1:1",
        cost=prompt.token_cost * images,
    )


def _consumed(number: int, cost: int, images: int, began: datetime) -> TokensConsumed:
    return TokensConsumed(
        generation_id=_id(number),
        cost=cost,
        images=tuple(
            ImageRecord(
                id=_id(number * 10 + image),
                key=f"{number}/{image}.png",
                thumbnail_key=f"{number}/{image}.webp",
                sha256=f"{number}{image}" * 32,
                mime_type="image/png",
                width=1024,
                height=1024,
                bytes=100_000 + image,
                model="gemini-3.1-flash-image",
            )
            for image in range(images)
        ),
        attempts=(_attempt(began, began.replace(second=20), "ok"),),
    )


def _failed(number: int, cost: int, reason: FailureReason, began: datetime) -> GenerationFailed:
    attempts = (_attempt(began, began.replace(second=30), reason),)
    return GenerationFailed(
        generation_id=_id(number), cost=cost, reason=reason, retryable=False, attempts=attempts
    )


def _attempt(began: datetime, ended: datetime, outcome: FailureReason | str) -> Attempt:
    return Attempt(attempt=1, image=0, started_at=began, ended_at=ended, outcome=outcome)  # type: ignore[arg-type]


HISTORY: tuple[tuple[str, datetime, str, Fact], ...] = (
    ("ann", _at(5, "09:00:00"), "admin:bootstrap", AccountOpened(is_member=False)),
    ("ann", _at(5, "09:00:00"), "admin:bootstrap", TokensGranted(amount=100, reason="welcome")),
    ("bob", _at(5, "09:05:00"), "admin:bootstrap", AccountOpened(is_member=True)),
    ("bob", _at(5, "09:05:00"), "admin:bootstrap", TokensGranted(amount=50, reason="welcome")),
    ("ann", _at(5, "10:00:00"), "key:1", _requested(1, FOREST, 1)),
    ("ann", _at(5, "10:00:21"), "worker:1", _consumed(1, 5, 1, _at(5, "10:00:01"))),
    ("bob", _at(5, "10:05:00"), "key:2", _requested(2, CASTLE, 2)),
    ("bob", _at(5, "10:05:31"), "worker:1", _failed(2, 20, "timeout", _at(5, "10:05:01"))),
    (
        "bob",
        _at(5, "11:00:00"),
        "key:3",
        TokensGranted(amount=200, reason="purchase", reference="order-17"),
    ),
    ("bob", _at(5, "11:10:00"), "key:2", _requested(3, CASTLE, 2)),
    ("bob", _at(5, "11:10:21"), "worker:1", _consumed(3, 20, 2, _at(5, "11:10:01"))),
    ("ann", _at(6, "08:00:00"), "key:3", TokensGranted(amount=20, reason="promo")),
    ("ann", _at(6, "08:30:00"), "key:1", _requested(4, FOREST, 1)),
    ("ann", _at(6, "08:30:31"), "worker:1", _failed(4, 5, "blocked", _at(6, "08:30:01"))),
    (
        "bob",
        _at(6, "08:45:00"),
        "key:3",
        TokensGranted(amount=20, reason="refund", generation_id=_id(3), note_id=NOTE),
    ),
    ("ann", _at(6, "09:00:00"), "key:1", _requested(5, FOREST, 2)),
    ("ann", _at(6, "09:20:00"), "key:3", MembershipChanged(is_member=True)),
    ("bob", _at(6, "09:25:00"), "key:2", _requested(6, CASTLE, 1)),
    ("ann", _at(6, "09:30:00"), "key:3", TokensRevoked(amount=10, note_id=NOTE)),
)


def write(url: str) -> None:
    """Import the history into an empty log."""
    accounts: dict[str, Account] = {}
    others = count(900)
    events = []
    for place, (account_id, at, actor, fact) in enumerate(HISTORY, 1):
        before = accounts.get(account_id, Account(account_id=account_id))
        after = accounts[account_id] = evolve(before, fact, at)
        entry = Entry(
            position=place,
            account_id=account_id,
            version=after.version,
            at=at,
            actor=actor,
            fact_id=_fact_id(account_id, fact) or _id(next(others)),
            settled=after.settled,
            held=after.held,
            fact=fact,
        )
        events.append(
            StoredEvent(
                originator_id=account_id,
                originator_version=entry.version,
                topic=fact.TOPIC,
                state=encode_entry(entry),
            )
        )
    with Ledger(url) as ledger:
        ledger.recorder.insert_events(events)


def _fact_id(account_id: str, fact: Fact) -> UUID | None:
    match fact:
        case GenerationRequested():
            return fact.generation_id
        case TokensConsumed() | GenerationFailed():
            return ending_id(fact.generation_id)
        case TokensGranted(generation_id=UUID() as generation_id):
            return refund_id(generation_id)
        case TokensGranted(reference=str(reference)):
            return reference_id(account_id, reference)
        case _:
            return None
