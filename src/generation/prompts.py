"""The prompt's text in the version that a generation was asked with."""

from collections.abc import Sequence
from typing import Any

import psycopg

from ledger.facts import PromptVersion

_CONTENTS = """
SELECT v.prompt_id, v.version, v.content
FROM unnest(%s::text[], %s::int[]) AS asked (id, version)
JOIN prompt_versions AS v ON v.prompt_id = asked.id AND v.version = asked.version"""


class PromptMissingError(Exception):
    """That version of the prompt is not there (versions are never deleted)."""


def contents_of(
    connection: psycopg.Connection[Any], prompts: Sequence[PromptVersion]
) -> list[str | None]:
    """What the provider is to be sent for each; None where that version is not there."""
    asked = list({(prompt.id, prompt.version) for prompt in prompts})
    ids, versions = [each[0] for each in asked], [each[1] for each in asked]
    rows = connection.execute(_CONTENTS, (ids, versions))
    found = {(row[0], row[1]): str(row[2]) for row in rows}
    return [found.get((prompt.id, prompt.version)) for prompt in prompts]
