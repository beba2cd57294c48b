"""What must be known before a generation is decided: its key's earlier request, and its prompt."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from api.connection import Connection
from api.prompts.store import PromptRow, latest_of
from ledger.entry import Entry
from ledger.facts import PromptVersion
from ledger.log import entries, select_known

OPERATION = "generation"
"""What an idempotency key is for: the same key may be used once for each operation."""


class Question(NamedTuple):
    """An idempotency key's id, if there is one, and a prompt's."""

    key_id: UUID | None
    prompt_id: str


class Offer(NamedTuple):
    """A prompt as it is now."""

    prompt: PromptVersion
    members_only: bool


class Before(NamedTuple):
    """The entry that the key was used for; the prompt, unless there is none or it is hidden."""

    earlier: Entry | None
    offer: Offer | None


def look(connection: Connection, questions: Sequence[Question]) -> list[Before]:
    """For many at once, in their order."""
    ids = [question.key_id for question in questions if question.key_id]
    earlier = {entry.key_id: entry for entry in entries(select_known(connection, ids))}
    prompts = latest_of(connection, {question.prompt_id for question in questions})
    offers = {prompt.id: _offer(prompt) for prompt in prompts.values()}
    return [
        Before(
            earlier.get(question.key_id) if question.key_id else None,
            offers.get(question.prompt_id),
        )
        for question in questions
    ]


def _offer(row: PromptRow) -> Offer:
    prompt = PromptVersion(
        id=row.id, version=row.version, title=row.title, token_cost=row.token_cost
    )
    return Offer(prompt, row.members_only)
