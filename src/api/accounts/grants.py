"""Giving tokens and taking them back: grants, revocations and refunds, for admins."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.accounts.store import WRITE_NOTE
from api.audit.recording import recorded
from api.generations.seeing import request_of
from api.http.auth import requires
from api.http.bodies import BODY_BYTES_MAX
from api.http.ids import NO_NUL, Note, is_id
from api.http.preferences import idempotency_key
from api.http.principals import Principal
from api.http.schemas import Change
from api.openapi.documented import header, refusals
from api.openapi.operations import KeyedOperation
from api.problems.refusals import ConflictError, NotFoundError
from api.services import Services
from api.texts.i18n import Locale, msg
from api.texts.wording import describe_transaction
from ledger.batch import Outcome
from ledger.commands import Beside, Command, GrantTokens, RefundGeneration, RevokeTokens, Submission
from ledger.entry import Entry
from ledger.facts import (
    AMOUNT_MAX,
    GenerationRequested,
    TokensConsumed,
    TokensGranted,
    TokensRevoked,
)
from ledger.identity import input_hash, new_id
from projections.reads import TransactionType

Amount = Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX, examples=[100])]
_TYPES: dict[str, TransactionType] = {
    "welcome": "token_grant",
    "promo": "token_grant",
    "purchase": "token_purchase",
    "refund": "token_refund",
    "adjustment": "token_adjustment",
}
_REPLAYED = header("Idempotency-Replayed", "`true` where the key was known.")


class NewGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens to give. One `reference` (a payment's id, say) is granted once per account."""

    amount: Amount
    reason: Literal["welcome", "purchase", "promo", "adjustment"]
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NUL)] | None = (
        None
    )
    note: Note | None = None


class NewRevocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens to take back; the note says why."""

    amount: Amount
    note: Note


class NewRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a charge is given back."""

    note: Note


@post(
    "/{account_id:str}/grants",
    operation_class=KeyedOperation,
    guards=[requires("admin")],
    summary="Give tokens",
    response_headers=[_REPLAYED],
    responses=refusals("INVALID_INPUT", "NOT_FOUND", "CONFLICT", "IDEMPOTENCY_KEY_REUSED"),
)
async def grant(
    *,
    request: Request[Any, Any, Any],
    data: JSONBody[NewGrant],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    locale: NamedDependency[Locale],
    account_id: FromPath[str],
) -> Response[Change]:
    """Recorded durably, once for each key and each reference."""
    note_id = new_id() if data.note else None
    command = GrantTokens(
        account_id=_checked(account_id),
        amount=data.amount,
        reason=data.reason,
        reference=data.reference,
        note_id=note_id,
    )
    key_id = idempotency_key(request, account_id, "grant")
    return await _record(
        services=services,
        caller=caller,
        locale=locale,
        command=command,
        data=data,
        key_id=key_id,
        note_id=note_id,
    )


@post(
    "/{account_id:str}/revocations",
    operation_class=KeyedOperation,
    guards=[requires("admin")],
    summary="Take back a mistaken grant",
    response_headers=[_REPLAYED],
    responses=refusals(
        "INVALID_INPUT", "NOT_FOUND", "INSUFFICIENT_TOKENS", "IDEMPOTENCY_KEY_REUSED"
    ),
)
async def revoke(
    *,
    request: Request[Any, Any, Any],
    data: JSONBody[NewRevocation],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    locale: NamedDependency[Locale],
    account_id: FromPath[str],
) -> Response[Change]:
    """Whole or not at all: more than is available is refused."""
    note_id = new_id()
    command = RevokeTokens(account_id=_checked(account_id), amount=data.amount, note_id=note_id)
    key_id = idempotency_key(request, account_id, "revocation")
    return await _record(
        services=services,
        caller=caller,
        locale=locale,
        command=command,
        data=data,
        key_id=key_id,
        note_id=note_id,
    )


@post(
    "/{generation_id:uuid}/refund",
    operation_class=KeyedOperation,
    guards=[requires("admin")],
    summary="Give back a generation's charge",
    tags=["administration"],
    request_max_body_size=BODY_BYTES_MAX,
    response_headers=[_REPLAYED],
    responses=refusals("INVALID_INPUT", "NOT_FOUND", "CONFLICT", "IDEMPOTENCY_KEY_REUSED"),
)
async def refund(
    *,
    request: Request[Any, Any, Any],
    data: JSONBody[NewRefund],
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    locale: NamedDependency[Locale],
    generation_id: FromPath[UUID],
) -> Response[Change]:
    """At most once; the images stay."""
    read = services.threads.read
    asked = await read(request_of, services.ledger, generation_id, None)
    await recorded(services, caller, "generation", account_id=asked.account_id)
    ending = await read(services.ledger.ending, generation_id)
    if ending is None or not isinstance(ending.fact, TokensConsumed) or ending.fact.cost == 0:
        raise ConflictError(msg("Nothing was charged for this generation."))
    assert isinstance(asked.fact, GenerationRequested)
    note_id = new_id()
    command = RefundGeneration(
        account_id=asked.account_id,
        generation_id=generation_id,
        charged=ending.fact.cost,
        note_id=note_id,
    )
    key_id = idempotency_key(request, asked.account_id, f"refund {generation_id}")
    title = asked.fact.prompt.title
    return await _record(
        services=services,
        caller=caller,
        locale=locale,
        command=command,
        data=data,
        key_id=key_id,
        note_id=note_id,
        title=title,
    )


async def _record(
    *,
    services: Services,
    caller: Principal,
    locale: Locale,
    command: Command,
    data: NewGrant | NewRevocation | NewRefund,
    key_id: UUID | None,
    note_id: UUID | None,
    title: str | None = None,
) -> Response[Change]:
    # The answer, a refusal's too, shows the account's numbers.
    await recorded(services, caller, "account", account_id=command.account_id)
    beside: tuple[Beside, ...] = ()
    if note_id is not None:
        note = (note_id, command.account_id, caller.actor, data.note)
        beside = (Beside(WRITE_NOTE, note),)
    outcome: Outcome = await services.ledger.record_async(
        Submission(
            command=command,
            actor=caller.actor,
            key_id=key_id,
            input_hash=input_hash((msgspec.json.encode(data),)) if key_id else None,
            beside=beside,
        )
    )
    headers = {"Idempotency-Replayed": "true"} if outcome.replayed else {}
    return Response(_change(outcome.entries[0], title, locale), headers=headers)


def _change(entry: Entry, title: str | None, locale: Locale) -> Change:
    fact = entry.fact
    assert isinstance(fact, TokensGranted | TokensRevoked)
    granted = fact if isinstance(fact, TokensGranted) else None
    reason = granted.reason if granted else "revocation"
    return Change(
        id=entry.fact_id,
        account_id=entry.account_id,
        type=_TYPES[reason] if granted else "token_adjustment",
        amount=fact.amount if granted else -fact.amount,
        balance=entry.settled,
        description=describe_transaction(reason, title).text(locale),
        generation_id=granted.generation_id if granted else None,
        created_at=entry.at,
        position=entry.position,
        available=entry.available,
        held=entry.held,
        settled=entry.settled,
    )


def _checked(account_id: str) -> str:
    if not is_id(account_id):
        raise NotFoundError
    return account_id
