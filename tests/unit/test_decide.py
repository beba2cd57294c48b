"""What each command leads to, and each refusal with its numbers, with the balances between."""

from collections.abc import Callable
from typing import Any

import pytest

from ledger.commands import (
    ChangeMembership,
    Command,
    GrantTokens,
    RefundGeneration,
    RevokeTokens,
    Submission,
)
from ledger.decide import COUNT_MAX
from ledger.errors import (
    AccountExistsError,
    AccountNotFoundError,
    AlreadyRefundedError,
    AmountOutOfRangeError,
    GenerationNotFoundError,
    InsufficientTokensError,
    KeyReusedError,
    MembershipRequiredError,
    PriceChangedError,
    RateLimitedError,
    ReferenceUsedError,
    Refusal,
    UnstorableTextError,
)
from ledger.facts import (
    AMOUNT_MAX,
    BALANCE_MAX,
    AccountOpened,
    Fact,
    MembershipChanged,
    TokensGranted,
    TokensRevoked,
)
from ledger.identity import new_id
from ledger.testing import Scenario, given
from ledger_samples import (
    ACCOUNT,
    ATTEMPT,
    FIRST,
    IMAGE,
    NOTE,
    REFERENCE,
    SECOND,
    consumed,
    failed,
    grant,
    keyed,
    opening,
    plain,
    prompt,
    release,
    request,
    requested,
    settle,
)

OPEN = AccountOpened(is_member=False)


def revoke(amount: int) -> RevokeTokens:
    return RevokeTokens(account_id=ACCOUNT, amount=amount, note_id=NOTE)


def refund(charged: int) -> RefundGeneration:
    return RefundGeneration(account_id=ACCOUNT, generation_id=FIRST, charged=charged, note_id=NOTE)


def granted(amount: int, **rest: str) -> TokensGranted:
    return TokensGranted(amount=amount, reason="promo", **rest)  # type: ignore[arg-type]


def owning(tokens: int, *more: Fact | Command | Submission) -> Scenario:
    return given(ACCOUNT, OPEN, granted(tokens), *more)


TAKEN: dict[str, Callable[[], Scenario]] = {
    "open without tokens": lambda: (
        given(ACCOUNT).when(opening(member=True)).then(AccountOpened(is_member=True))
        .balance(settled=0, held=0)
    ),
    "open with tokens": lambda: (
        given(ACCOUNT).when(opening(tokens=100))
        .then(OPEN, TokensGranted(amount=100, reason="welcome"))
        .balance(settled=100, held=0)
    ),
    "membership begins, is kept, ends": lambda: (
        given(ACCOUNT, OPEN)
        .when(ChangeMembership(account_id=ACCOUNT, is_member=True))
        .then(MembershipChanged(is_member=True))
        .when(ChangeMembership(account_id=ACCOUNT, is_member=True)).then()
        .when(ChangeMembership(account_id=ACCOUNT, is_member=False))
        .then(MembershipChanged(is_member=False))
        .balance(settled=0, held=0)
    ),
    "grant": lambda: (
        given(ACCOUNT, OPEN)
        .when(GrantTokens(account_id=ACCOUNT, amount=7, reason="adjustment", note_id=NOTE))
        .then(TokensGranted(amount=7, reason="adjustment", note_id=NOTE))
        .balance(settled=7, held=0)
        .when(grant(3)).then(granted(3))
        .when(grant(3)).then(granted(3))
        .balance(settled=13, held=0)
    ),
    "grants with references": lambda: (
        given(ACCOUNT, OPEN)
        .when(grant(3, reference="order 1")).then(granted(3, reference="order 1"))
        .when(grant(3, reference="order 2")).then(granted(3, reference="order 2"))
        .balance(settled=6, held=0)
    ),
    "the most tokens": lambda: (
        given(ACCOUNT, OPEN).when(grant(AMOUNT_MAX)).then(granted(AMOUNT_MAX))
        .balance(settled=AMOUNT_MAX, held=0)
    ),
    "revoke all that is available": lambda: (
        owning(9, requested(4)).when(revoke(5)).then(TokensRevoked(amount=5, note_id=NOTE))
        .balance(settled=4, held=4)
    ),
    "request, settle, refund": lambda: (
        owning(10)
        .when(request(10)).then(requested(10)).balance(settled=10, held=10)
        .when(settle()).then(consumed(10)).balance(settled=0, held=0)
        .when(refund(10))
        .then(TokensGranted(amount=10, reason="refund", generation_id=FIRST, note_id=NOTE))
        .balance(settled=10, held=0)
    ),
    "request several images with a reference": lambda: (
        owning(20)
        .when(request(5, count=COUNT_MAX, reference=REFERENCE, expected_cost=20))
        .then(
            type(requested(20))(
                generation_id=FIRST, prompt=prompt(5), count=4, aspect_ratio="1:1",
                cost=20, reference=REFERENCE,
            )
        )
        .balance(settled=20, held=20)
    ),
    "a free request": lambda: (
        given(ACCOUNT, OPEN).when(request(0)).then(requested(0)).balance(settled=0, held=0)
        .when(settle()).then(consumed(0)).balance(settled=0, held=0)
    ),
    "members only, for a member": lambda: (
        given(ACCOUNT, AccountOpened(is_member=True), granted(5))
        .when(request(5, members_only=True)).then(requested(5))
    ),
    "one open, one failing": lambda: (
        owning(10, requested(4))
        .when(request(6, SECOND)).then(requested(6, SECOND)).balance(settled=10, held=10)
        .when(release(SECOND, reason="blocked")).then(failed(6, SECOND, "blocked"))
        .balance(settled=10, held=4)
        .when(settle()).then(consumed(4)).balance(settled=6, held=0)
    ),
    "attempts are kept with either ending": lambda: (
        owning(9, requested(4), requested(5, SECOND))
        .when(type(settle())(
            account_id=ACCOUNT, generation_id=FIRST, images=(IMAGE,), attempts=(ATTEMPT,)
        ))
        .then(type(consumed(4))(
            generation_id=FIRST, cost=4, images=(IMAGE,), attempts=(ATTEMPT,)
        ))
        .when(type(release())(
            account_id=ACCOUNT, generation_id=SECOND, reason="timeout", retryable=True,
            attempts=(ATTEMPT,),
        ))
        .then(type(failed(5))(
            generation_id=SECOND, cost=5, reason="timeout", retryable=True, attempts=(ATTEMPT,)
        ))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name: str) -> None:
    TAKEN[name]()


AMOUNT = AmountOutOfRangeError("amount", 1, AMOUNT_MAX)
COST = AmountOutOfRangeError("cost", 0, AMOUNT_MAX)
COUNT = AmountOutOfRangeError("count", 1, COUNT_MAX)
BALANCE = AmountOutOfRangeError("balance", 1, BALANCE_MAX)
RICH = (granted(AMOUNT_MAX),) * (BALANCE_MAX // AMOUNT_MAX)

# What has happened, what is asked, why not.
REFUSED: dict[str, tuple[tuple[Fact, ...], Command, Refusal]] = {
    "open twice": ((OPEN,), opening(), AccountExistsError()),
    "open with less than nothing": (
        (), opening(tokens=-1), AmountOutOfRangeError("tokens", 1, AMOUNT_MAX),
    ),
    "open with too much": (
        (), opening(tokens=AMOUNT_MAX + 1), AmountOutOfRangeError("tokens", 1, AMOUNT_MAX),
    ),
    "membership of nobody": (
        (), ChangeMembership(account_id=ACCOUNT, is_member=True), AccountNotFoundError(),
    ),
    "grant to nobody": ((), grant(1), AccountNotFoundError()),
    "revoke from nobody": ((), revoke(1), AccountNotFoundError()),
    "refund to nobody": ((), refund(1), AccountNotFoundError()),
    "request by nobody": ((), request(0), AccountNotFoundError()),
    "settle for nobody": ((), settle(), AccountNotFoundError()),
    "release for nobody": ((), release(), AccountNotFoundError()),
    "grant nothing": ((OPEN,), grant(0), AMOUNT),
    "grant less than nothing": ((OPEN,), grant(-1), AMOUNT),
    "grant too much": ((OPEN,), grant(AMOUNT_MAX + 1), AMOUNT),
    "grant beyond the balance": ((OPEN, *RICH), grant(1), BALANCE),
    "grant a reference again": (
        (OPEN, granted(3, reference="order")), grant(9, reference="order"), ReferenceUsedError(),
    ),
    "revoke nothing": ((OPEN, granted(5)), revoke(0), AMOUNT),
    "revoke less than nothing": ((OPEN, granted(5)), revoke(-1), AMOUNT),
    "revoke too much": ((OPEN, granted(5)), revoke(AMOUNT_MAX + 1), AMOUNT),
    "revoke what is not there": ((OPEN, granted(5)), revoke(6), InsufficientTokensError(6, 5)),
    "revoke what is held": (
        (OPEN, granted(5), requested(3)), revoke(3), InsufficientTokensError(3, 2),
    ),
    "refund nothing": ((OPEN, granted(5)), refund(0), AMOUNT),
    "refund beyond the balance": ((OPEN, *RICH), refund(5), BALANCE),
    "refund again": (
        (
            OPEN, granted(5), requested(5), consumed(5),
            TokensGranted(amount=5, reason="refund", generation_id=FIRST, note_id=NOTE),
        ),
        refund(5), AlreadyRefundedError(),
    ),
    "no images": ((OPEN, granted(5)), request(1, count=0), COUNT),
    "five images": ((OPEN, granted(5)), request(1, count=5), COUNT),
    "a price below nothing": ((OPEN, granted(5)), request(-1), COST),
    "a price beyond bounds": ((OPEN, granted(5)), request(AMOUNT_MAX + 1), COST),
    "members only": (
        (OPEN, granted(5)), request(5, members_only=True), MembershipRequiredError(),
    ),
    "members only, member no more": (
        (AccountOpened(is_member=True), granted(5), MembershipChanged(is_member=False)),
        request(5, members_only=True), MembershipRequiredError(),
    ),
    "another price": (
        (OPEN, granted(50)), request(5, count=2, expected_cost=5), PriceChangedError(10),
    ),
    "too few tokens": ((OPEN, granted(4)), request(5), InsufficientTokensError(5, 4)),
    "too few beside what is held": (
        (OPEN, granted(8), requested(5, SECOND)), request(5), InsufficientTokensError(5, 3),
    ),
    "too few tokens for all images": (
        (OPEN, granted(9)), request(5, count=2), InsufficientTokensError(10, 9),
    ),
    "settle what was never asked for": ((OPEN, granted(5)), settle(), GenerationNotFoundError()),
    "release what was never asked for": ((OPEN,), release(), GenerationNotFoundError()),
    "a NUL in the title": (
        (OPEN, granted(5)),
        request(5, prompt=type(prompt(5))(id="p", version=1, title="a\0b", token_cost=5)),
        UnstorableTextError(),
    ),
    "half of a pair in a reference": ((OPEN,), grant(5, reference="\ud83d"), UnstorableTextError()),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_nothing_changed(name: str) -> None:
    history, command, refusal = REFUSED[name]
    scenario = given(ACCOUNT, *history)
    before = scenario.account
    scenario.when(command).then_refused(refusal)
    assert scenario.account == before
    scenario.when(command).then_refused(refusal)  # a refusal leaves no trace


def test_the_tables_have_every_refusal_of_deciding() -> None:
    elsewhere = {"KeyReusedError", "RateLimitedError", "BesideConflictError"}
    met = {type(refusal).__name__ for _, _, refusal in REFUSED.values()}
    assert {kind.__name__ for kind in Refusal.__subclasses__()} == met | elsewhere


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "a b", "a,b", "ann\n", "名", "a\0", "\ud83d", "{x}"]
)
def test_an_account_is_called_what_can_be_looked_up(name: str) -> None:
    given(name).when(opening(name)).then_refused(UnstorableTextError())
    given(name).when(grant(1, name)).then_refused(AccountNotFoundError())


@pytest.mark.parametrize("name", ["a", "A" * 64, "demo-user-123", "_", "-"])
def test_and_so_it_may_be_called(name: str) -> None:
    given(name).when(opening(name)).then(OPEN)


def test_refusals_come_in_order() -> None:
    """Replay, rate, membership, price, balance: each hides those after it."""
    limit: dict[str, Any] = {"rate_per_minute": 1}
    wrong: dict[str, Any] = {"members_only": True, "expected_cost": 1}
    first = keyed(request(2, **limit), "k")
    scenario = owning(3, first)
    scenario.when(keyed(request(9, **limit, **wrong), "k", given=first.command))
    scenario.then_replayed(requested(2))
    scenario.when(keyed(request(9, **limit, **wrong), "k")).then_refused(KeyReusedError())
    later = request(9, SECOND, **limit, **wrong)
    scenario.when(later).then_refused(RateLimitedError(61))
    scenario.when(request(9, SECOND, **wrong)).then_refused(MembershipRequiredError())
    scenario.when(request(9, SECOND, expected_cost=1)).then_refused(PriceChangedError(9))
    scenario.when(request(9, SECOND)).then_refused(InsufficientTokensError(9, 1))
    scenario.when(request(1, SECOND)).then(requested(1, SECOND)).balance(settled=3, held=3)


@pytest.mark.parametrize("ending", [settle(), release()], ids=["settle", "release"])
@pytest.mark.parametrize("first", [consumed(4), failed(4)], ids=["settled", "released"])
def test_the_first_ending_wins(first: Fact, ending: Command) -> None:
    scenario = owning(4, requested(4), first)
    before = scenario.account
    scenario.when(ending).then_replayed(first)
    assert scenario.account == before


def test_a_request_is_known_by_its_generation() -> None:
    owning(9, request(4)).when(request(4)).then_replayed(requested(4)).balance(settled=9, held=4)
    owning(9, request(4), settle()).when(request(4)).then_replayed(requested(4)).balance(
        settled=5, held=0
    )


KEYED: dict[str, Command] = {
    "grant": grant(3),
    "grant with a reference": grant(3, reference="order"),
    "revoke": revoke(3),
    "request": request(3),
    "membership": ChangeMembership(account_id=ACCOUNT, is_member=True),
}


@pytest.mark.parametrize("name", KEYED)
def test_a_key_is_answered_from_the_log(name: str) -> None:
    command = KEYED[name]
    scenario = owning(9, keyed(command, "k"))
    before = scenario.account
    scenario.when(keyed(command, "k"), after_seconds=86_400)
    assert scenario.account == before
    scenario.when(keyed(command, "k", given="other")).then_refused(KeyReusedError())
    assert scenario.account == before


def test_a_refusal_is_not_remembered_under_its_key() -> None:
    scenario = given(ACCOUNT, OPEN).when(keyed(request(5), "k"))
    scenario.then_refused(InsufficientTokensError(5, 0))
    scenario.given(granted(5)).when(keyed(request(5), "k")).then(requested(5))


def test_anothers_generation_is_neither_told_nor_ended() -> None:
    bob = given("bob", AccountOpened(is_member=False), granted(9), request(4, account_id="bob"))
    known = bob._batch.known
    scenario = owning(9)
    scenario._batch.known.update(known)
    scenario.when(settle()).then_refused(GenerationNotFoundError())
    scenario.when(release()).then_refused(GenerationNotFoundError())


def test_a_refunded_key_and_a_new_refund_differ() -> None:
    scenario = owning(5, requested(5), consumed(5)).when(keyed(refund(5), "k"))
    scenario.when(keyed(refund(5), "k")).then_replayed(
        TokensGranted(amount=5, reason="refund", generation_id=FIRST, note_id=NOTE)
    )
    scenario.when(keyed(refund(5), "k2")).then_refused(AlreadyRefundedError())
    scenario.balance(settled=5, held=0)


def test_new_ids_are_in_the_order_of_time() -> None:
    ids = [new_id() for _ in range(100)]
    assert ids == sorted(set(ids))
    assert {made.version for made in ids} == {7}


def test_the_helper_itself_fails_where_it_should() -> None:
    with pytest.raises(AssertionError, match="then: expected"):
        owning(5).when(request(5)).then()
    with pytest.raises(AssertionError, match="then refused: expected"):
        owning(5).when(request(6)).then_refused(InsufficientTokensError(6, 4))
    with pytest.raises(AssertionError, match="then refused: expected"):
        owning(5).when(request(5)).then_refused(InsufficientTokensError(5, 5))
    with pytest.raises(AssertionError, match="balance: expected"):
        owning(5).balance(settled=5, held=1)
    with pytest.raises(AssertionError, match="then replayed: expected"):
        owning(5).when(request(5)).then_replayed(requested(5))
    with pytest.raises(AssertionError, match="given: expected"):
        owning(5, plain(request(6)))
