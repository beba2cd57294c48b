"""The prompt's text in the version that a generation was asked with."""

from typing import Any

import psycopg

from ledger.facts import PromptVersion

_CONTENT = "SELECT content FROM prompt_versions WHERE prompt_id = %s AND version = %s"


class PromptMissingError(Exception):
    """That version of the prompt is not there (versions are never deleted)."""


def content_of(connection: psycopg.Connection[Any], prompt: PromptVersion) -> str:
    """What the provider is to be sent. Raises `PromptMissingError`."""
    row = connection.execute(_CONTENT, (prompt.id, prompt.version)).fetchone()
    if row is None:
        raise PromptMissingError(f"{prompt.id} version {prompt.version}")
    return str(row[0])
