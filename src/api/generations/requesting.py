"""Accepting a generation: known key, prompt, cheap refusals, reference stored, hold recorded."""

import hashlib
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import structlog

from api.generations.asked import Asked
from api.generations.before import Offer, Question
from api.http.principals import Principal
from api.problems.refusals import KeyReusedByOtherInputError, PromptNotFoundError
from api.services import Services
from generation.objects import reference_key
from generation.pictures import CleanPicture, clean_reference
from generation.storage import StorageError
from ledger.commands import RequestGeneration, Submission
from ledger.decide import decide
from ledger.entry import Entry
from ledger.errors import KeyReusedError, LedgerBusyError, Refusal
from ledger.facts import StoredReference
from ledger.identity import new_id
from ledger.ledger import Ledger

_log = structlog.get_logger("api.requesting")


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The request's entry. `available` is what was left after it; None where it was replayed."""

    entry: Entry
    available: int | None = None


async def request_generation(
    services: Services, caller: Principal, asked: Asked, key_id: UUID | None
) -> Accepted:
    """Hold the cost, durably. A key seen before with the same input is answered from the log.

    Raises the ledger's refusals, `PromptNotFoundError`, `KeyReusedByOtherInputError`,
    `UnsupportedPictureError` and, with the outcome unknown, `LedgerUnavailableError`.
    """
    question = Question(key_id, asked.prompt_id)
    if key_id is None:
        before = await services.before.get(question)
        return await accept_offer(services, caller, asked, before.offer, None)
    async with services.flights.alone(key_id):
        before = await services.before.get(question)
        if before.earlier is not None:
            return _replay(before.earlier, asked)
        return await accept_offer(services, caller, asked, before.offer, key_id)


async def accept_offer(
    services: Services,
    caller: Principal,
    asked: Asked,
    offer: Offer | None,
    key_id: UUID | None,
    *,
    terms: UUID | None = None,
) -> Accepted:
    """The same where the prompt is known, or known to be none; the key may have been used.

    A key that has been used costs more so than where that is known, but no tokens. Raises
    `TermsChangedError` where caller and offer are of `terms` that are not those of now.
    """
    try:
        command = _command(services, caller, asked, offer)
        if asked.reference is not None:
            # Refuse what can be refused before a picture is decoded and stored for nothing.
            await services.threads.read(_dry_run, services.ledger, command)
            reference = await _store(services, command, asked.reference)
            command = msgspec.structs.replace(command, reference=reference)
    except (Refusal, PromptNotFoundError):
        # The ledger would have looked the key up: what it was used for may be what refuses us.
        earlier = None
        if key_id is not None:
            earlier = await services.threads.read(services.ledger.find, key_id)
        if earlier is None:
            raise
        accepted = _replay(earlier, asked)
    else:
        submission = Submission(
            command=command,
            actor=caller.actor,
            key_id=key_id,
            input_hash=asked.hash if key_id else None,
            terms=terms,
        )
        accepted = await _record(services, submission, command.reference)
    if key_id is not None:
        services.recent_keys.add(key_id)
    return accepted


async def offer_for(services: Services, prompt_id: str) -> Offer:
    """The prompt as it is now. Raises `PromptNotFoundError`, also for a hidden one."""
    before = await services.before.get(Question(None, prompt_id))
    if before.offer is None:
        raise PromptNotFoundError
    return before.offer


def _replay(earlier: Entry, asked: Asked) -> Accepted:
    if earlier.input_hash != asked.hash:
        raise KeyReusedByOtherInputError
    return Accepted(entry=earlier)


def _command(
    services: Services, caller: Principal, asked: Asked, offer: Offer | None
) -> RequestGeneration:
    account_id = caller.account
    if offer is None:
        raise PromptNotFoundError
    return RequestGeneration(
        account_id=account_id,
        generation_id=new_id(),
        prompt=offer.prompt,
        members_only=offer.members_only,
        count=asked.count,
        aspect_ratio=asked.aspect_ratio,
        expected_cost=asked.expected_cost,
        rate_per_minute=services.settings.rate_limit_generations_per_minute,
    )


async def _record(
    services: Services, submission: Submission, reference: StoredReference | None
) -> Accepted:
    try:
        outcome = await services.ledger.record_async(submission)
    except (Refusal, LedgerBusyError) as error:
        if isinstance(error, KeyReusedError) and submission.key_id is not None:
            services.recent_keys.add(submission.key_id)
        await _forget(services, reference)
        raise
    # Where none of these is known (a lost connection, a wait given up) the sweeper asks the log.
    if outcome.replayed:
        await _forget(services, reference)
        return Accepted(entry=outcome.entries[0])
    return Accepted(entry=outcome.entries[0], available=outcome.available)


async def _store(services: Services, command: RequestGeneration, data: bytes) -> StoredReference:
    clean = await services.threads.picture(_clean, services.ledger, command, data)
    key = reference_key(command.account_id, command.generation_id, clean.mime_type)
    storage = services.storage
    await services.threads.store(storage.put, key, clean.data, mime_type=clean.mime_type)
    return StoredReference(
        key=key,
        sha256=hashlib.sha256(clean.data).hexdigest(),
        mime_type=clean.mime_type,
        bytes=len(clean.data),
    )


def _dry_run(ledger: Ledger, command: RequestGeneration) -> None:
    decide(ledger.account(command.account_id), command, datetime.now(UTC))


def _clean(ledger: Ledger, command: RequestGeneration, data: bytes) -> CleanPicture:
    # Once more: while this one waited for its turn, others may have spent the tokens.
    _dry_run(ledger, command)
    return clean_reference(data)


async def _forget(services: Services, reference: StoredReference | None) -> None:
    if reference is None:
        return
    try:
        await services.threads.store(services.storage.delete, reference.key)
    except StorageError as error:
        _log.warning("unused reference left to the sweeper", error=str(error))
