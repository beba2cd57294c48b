"""What each command leads to: the facts it adds, or the reason it is refused."""

from datetime import datetime
from typing import assert_never

from ledger.account import RATE_WINDOW_SECONDS, Account
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
)
from ledger.errors import (
    AccountExistsError,
    AccountNotFoundError,
    AlreadyRefundedError,
    AmountOutOfRangeError,
    GenerationNotFoundError,
    InsufficientTokensError,
    MembershipRequiredError,
    PriceChangedError,
    RateLimitedError,
    ReferenceUsedError,
    UnstorableTextError,
)
from ledger.facts import (
    ACCOUNT_ID,
    AMOUNT_MAX,
    BALANCE_MAX,
    AccountOpened,
    Fact,
    GenerationFailed,
    GenerationRequested,
    MembershipChanged,
    TokensConsumed,
    TokensGranted,
    TokensRevoked,
)

COUNT_MAX = 4
_SECOND = 1_000_000
_MINUTE = RATE_WINDOW_SECONDS * _SECOND  # in microseconds: whole numbers have no rounding


def decide(
    account: Account, command: Command, at: datetime, earlier: Fact | None = None
) -> tuple[Fact, ...]:
    """The facts that `command` adds at `at`; none where it is done already. Raises `Refusal`.

    `earlier` is the fact in the log that has this command's fact id, if there is one.
    """
    if not account.is_open and not isinstance(command, OpenAccount):
        raise AccountNotFoundError
    match command:  # the most frequent first
        case RequestGeneration():
            return () if earlier else (_request(account, command, at),)
        case SettleGeneration() | ReleaseGeneration():
            return () if earlier else (_end(account, command),)
        case OpenAccount():
            return _open(account, command)
        case ChangeMembership():
            if command.is_member == account.is_member:
                return ()
            return (MembershipChanged(is_member=command.is_member, note_id=command.note_id),)
        case GrantTokens():
            return (_grant(account, command, earlier),)
        case RevokeTokens():
            return (_revoke(account, command),)
        case RefundGeneration():
            return (_refund(account, command, earlier),)
        case _:
            assert_never(command)


def _open(account: Account, command: OpenAccount) -> tuple[Fact, ...]:
    if account.is_open:
        raise AccountExistsError
    if not ACCOUNT_ID.fullmatch(command.account_id):
        raise UnstorableTextError
    opened = AccountOpened(is_member=command.is_member)
    if command.tokens == 0:
        return (opened,)
    _check_amount("tokens", command.tokens)
    return (opened, TokensGranted(amount=command.tokens, reason="welcome"))


def _grant(account: Account, command: GrantTokens, earlier: Fact | None) -> TokensGranted:
    if earlier:
        raise ReferenceUsedError
    _check_grant(account, command.amount)
    return TokensGranted(
        amount=command.amount,
        reason=command.reason,
        reference=command.reference,
        note_id=command.note_id,
    )


def _revoke(account: Account, command: RevokeTokens) -> TokensRevoked:
    _check_amount("amount", command.amount)
    if command.amount > account.available:
        raise InsufficientTokensError(command.amount, account.available)
    return TokensRevoked(amount=command.amount, note_id=command.note_id)


def _refund(account: Account, command: RefundGeneration, earlier: Fact | None) -> TokensGranted:
    if earlier:
        raise AlreadyRefundedError
    _check_grant(account, command.charged)
    return TokensGranted(
        amount=command.charged,
        reason="refund",
        generation_id=command.generation_id,
        note_id=command.note_id,
    )


def _request(account: Account, command: RequestGeneration, at: datetime) -> GenerationRequested:
    if not 1 <= command.count <= COUNT_MAX:
        raise AmountOutOfRangeError("count", 1, COUNT_MAX)
    cost = command.cost
    _check_amount("cost", cost, minimum=0)
    _check_pace(account, command.rate_per_minute, at)
    if command.members_only and not account.is_member:
        raise MembershipRequiredError
    if command.expected_cost is not None and command.expected_cost != cost:
        raise PriceChangedError(cost)
    if cost > account.available:
        raise InsufficientTokensError(cost, account.available)
    return GenerationRequested(
        generation_id=command.generation_id,
        prompt=command.prompt,
        count=command.count,
        aspect_ratio=command.aspect_ratio,
        cost=cost,
        reference=command.reference,
    )


def _end(
    account: Account, command: SettleGeneration | ReleaseGeneration
) -> TokensConsumed | GenerationFailed:
    cost = account.holds.get(command.generation_id)
    if cost is None:
        raise GenerationNotFoundError
    if isinstance(command, SettleGeneration):
        return TokensConsumed(
            generation_id=command.generation_id,
            cost=cost,
            images=command.images,
            attempts=command.attempts,
        )
    return GenerationFailed(
        generation_id=command.generation_id,
        cost=cost,
        reason=command.reason,
        retryable=command.retryable,
        attempts=command.attempts,
    )


def _check_pace(account: Account, rate_per_minute: int, at: datetime) -> None:
    """A sliding minute: the share of the last one that still counts, and this one so far."""
    if rate_per_minute <= 0:
        return
    seconds = int(at.timestamp())
    pace = account.pace.at_minute(seconds // RATE_WINDOW_SECONDS)
    left = _MINUTE - (seconds % RATE_WINDOW_SECONDS * _SECOND + at.microsecond)
    counted, room = pace.previous, rate_per_minute - pace.count
    if room <= 0:  # not before this minute has become the last one
        counted, room, left = pace.count, rate_per_minute, left + _MINUTE
    over = counted * left - room * _MINUTE
    if over >= 0:
        raise RateLimitedError(over // (counted * _SECOND) + 1)


def _check_grant(account: Account, amount: int) -> None:
    _check_amount("amount", amount)
    _check_amount("balance", account.settled + amount, maximum=BALANCE_MAX)


def _check_amount(field: str, amount: int, *, minimum: int = 1, maximum: int = AMOUNT_MAX) -> None:
    if not minimum <= amount <= maximum:
        raise AmountOutOfRangeError(field, minimum, maximum)
