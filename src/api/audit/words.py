"""Why a balance is what it is, in words that support can paste into an answer.

Every number that people see adds up on the page: grants, less what was charged and taken back, are
the settled balance; that, less what is held, is what is available. Notes are for us and stay out.
"""

from collections.abc import Iterator
from datetime import datetime

from api.audit.documents import TimelineEvent, timeline_event
from api.texts.i18n import Locale, Message, msg
from api.texts.wording import describe_transaction
from projections.audit.explain import Explanation

HOLDS_MAX = 20
"""The most holds that have a line of their own."""

_REASONS = ("welcome", "purchase", "promo", "adjustment", "refund")


def explanation_lines(told: Explanation, locale: Locale) -> list[str]:
    """A few paragraphs, a line each; an empty one parts them."""
    words = _Words(told, locale)
    parts = [words.balance(), words.sums(), words.held(), words.last()]
    return [line for part in parts for line in (*part, "")][:-1]


class _Words:
    def __init__(self, told: Explanation, locale: Locale) -> None:
        self._told = told
        self._locale: Locale = locale

    def balance(self) -> Iterator[str]:
        standing = self._told.standing
        yield self._say(
            msg(
                "Account {account}: {available} tokens available.",
                account=standing.account_id,
                available=standing.available,
            )
        )
        yield self._say(
            msg(
                "As of event {position} of the log, {time}.",
                position=standing.position,
                time=_time(standing.at),
            )
        )
        opened = _time(self._told.opened_at)
        member = msg("Opened {time}; a member.", time=opened)
        yield self._say(
            member if standing.is_member else msg("Opened {time}; not a member.", time=opened)
        )

    def sums(self) -> Iterator[str]:
        standing, totals = self._told.standing, self._told.totals
        yield self._say(msg("What came in and what went out since then:"))
        amounts = []
        for label, count, amount in self._sums():
            amounts.append(amount)
            yield f"  {self._say(label)}: {signed(amount)} ({count}×)"
        if failures := totals.failures:
            reasons = ", ".join(f"{reason} {n}×" for reason, n in sorted(failures.items()))
            yield f"  {self._say(msg('Ended without a charge'))}: 0 ({reasons})"
        if not self._told.adds_up:
            yield self._say(
                msg("These events do not lead to the log's own balance: run `mintage verify`.")
            )
            return
        yield self._say(
            msg("{sum} = {settled} settled", sum=_sum(amounts), settled=standing.settled)
        )
        yield self._say(
            msg(
                "{settled} settled − {held} held = {available} available",
                settled=standing.settled,
                held=standing.held,
                available=standing.available,
            )
        )

    def held(self) -> Iterator[str]:
        held = self._told.standing.held
        if not held:
            yield self._say(msg("Nothing is held."))
            return
        yield self._say(msg("Held by generations that are still open:"))
        shown = self._told.holds.listed[:HOLDS_MAX]
        for hold in shown:
            yield f"  {hold.cost}: {hold.title}, {_time(hold.requested_at)}, {hold.generation_id}"
        if rest := held - sum(hold.cost for hold in shown):
            yield f"  {rest}: {self._say(msg('Others'))}"

    def last(self) -> Iterator[str]:
        yield self._say(msg("The last movements, newest first:"))
        for line in self._told.movements:
            what = self._say(what_happened(timeline_event(line)))
            yield f"  {_time(line.at)}  {signed(line.amount)} → {line.settled}  {what}"
        if not self._told.movements:
            yield f"  {self._say(msg('None yet.'))}"

    def _sums(self) -> Iterator[tuple[Message, int, int]]:
        totals = self._told.totals
        grants = totals.granted
        for reason in sorted(grants, key=lambda r: _REASONS.index(r) if r in _REASONS else -1):
            label = msg("Refunds") if reason == "refund" else describe_transaction(reason, None)
            yield label, *grants[reason]
        for kind, label in (
            ("tokens_revoked", describe_transaction("revocation", None)),
            ("tokens_consumed", msg("Charged for generations")),
        ):
            count, amount = totals.of(kind)
            if count:
                yield label, count, -amount

    def _say(self, message: Message) -> str:
        return message.text(self._locale)


def what_happened(event: TimelineEvent) -> Message:
    """An event in a few words; one that is not known here by its type."""
    match event.type:
        case "AccountOpened":
            return msg("Account opened")
        case "MembershipChanged" if event.data.get("is_member"):
            return msg("Became a member")
        case "MembershipChanged":
            return msg("Membership ended")
        case "TokensGranted":
            return describe_transaction(event.reason or "", event.title)
        case "TokensRevoked":
            return describe_transaction("revocation", None)
        case "GenerationRequested":
            return msg("Asked for: {title}", title=event.title)
        case "TokensConsumed":
            return describe_transaction("generation", event.title)
        case "GenerationFailed":
            return msg("Not charged ({reason}): {title}", reason=event.reason, title=event.title)
        case _:
            return Message("{type}", {"type": event.type})


def signed(amount: int) -> str:
    """The amount with its sign, as people write it."""
    return f"+{amount}" if amount > 0 else f"−{-amount}" if amount < 0 else "0"


def _sum(amounts: list[int]) -> str:
    text = " ".join(f"{'−' if amount < 0 else '+'} {abs(amount)}" for amount in amounts)
    return text.removeprefix("+ ") or "0"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
