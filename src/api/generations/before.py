"""What must be known before a generation is decided: its key's earlier request, and its prompt."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from api.connection import Connection
from api.prompts.store import PromptRow, latest_of
from ledger.entry import Entry
from ledger.log import entries, select_known


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
