"""What must be known before a generation is decided: its key's earlier request, and its prompt.

And who asks, where that is asked in the same trip.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from api.connection import Connection
from api.http.principals import Principal, find_keys
from api.prompts.store import PromptRow, latest_of
from ledger.entry import Entry
from ledger.identity import key_id
from ledger.log import entries, select_known

OPERATION = "generation"
"""What an idempotency key is for: the same key may be used once for each operation."""


class Question(NamedTuple):
    """An idempotency key's id, if there is one, and a prompt's."""

    key_id: UUID | None
    prompt_id: str


class Before(NamedTuple):
    """The entry that the key was used for; the prompt, unless there is none or it is hidden."""

    earlier: Entry | None
    prompt: PromptRow | None


def look(connection: Connection, questions: Sequence[Question]) -> list[Before]:
    """For many at once, in their order."""
    ids = [question.key_id for question in questions if question.key_id]
    earlier = {entry.key_id: entry for entry in entries(select_known(connection, ids))}
    prompts = latest_of(connection, {question.prompt_id for question in questions})
    return [
        Before(
            earlier.get(question.key_id) if question.key_id else None,
            prompts.get(question.prompt_id),
        )
        for question in questions
    ]


class FirstQuestion(NamedTuple):
    """The hash of the caller's key, which nobody has looked at yet; an idempotency key."""

    hashed: bytes
    key: str | None
    prompt_id: str


class First(NamedTuple):
    """Nothing else is known where the caller is not; `key_id` stands for the idempotency key."""

    caller: Principal | None
    key_id: UUID | None
    before: Before


def look_first(connection: Connection, questions: Sequence[FirstQuestion]) -> list[First]:
    """For many at once, in their order."""
    callers = find_keys(connection, [question.hashed for question in questions])
    key_ids = [
        key_id(caller.account_id, OPERATION, question.key)
        if question.key and caller and caller.account_id
        else None
        for caller, question in zip(callers, questions, strict=True)
    ]
    prompt_ids = [question.prompt_id for question in questions]
    found = look(connection, list(map(Question, key_ids, prompt_ids)))
    return list(map(First, callers, key_ids, found))
