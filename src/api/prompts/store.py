"""Prompts in the database: every change is a new version, and deleting only hides."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg.rows import class_row

from api.connection import Connection

_COLUMNS = """
SELECT p.ordinal, p.id, v.version, v.title, v.content, v.description, v.category, v.members_only,
       v.token_cost
FROM prompts AS p JOIN prompt_versions AS v ON v.prompt_id = p.id AND v.version = p.version
WHERE p.hidden_at IS NULL"""
_LATEST = _COLUMNS + " AND p.id = ANY(%s)"
_PAGE = (
    _COLUMNS
    + """
    AND p.ordinal < %(before)s
    AND (%(category)s::text IS NULL OR v.category = %(category)s)
    AND (%(q)s::text IS NULL OR strpos(lower(v.title || ' ' || v.description), lower(%(q)s)) > 0)
ORDER BY p.ordinal DESC LIMIT %(limit)s"""
)
_CREATE = "INSERT INTO prompts (id, version) VALUES (%s, 1) ON CONFLICT DO NOTHING RETURNING id"
_LOCK = "SELECT version FROM prompts WHERE id = %s AND hidden_at IS NULL FOR UPDATE"
_MOVE = "UPDATE prompts SET version = %s WHERE id = %s"
_HIDE = "UPDATE prompts SET hidden_at = now() WHERE id = %s AND hidden_at IS NULL"
_ADD_VERSION = """
INSERT INTO prompt_versions
    (prompt_id, version, title, content, description, category, members_only, token_cost, actor)
VALUES (%(id)s, %(version)s, %(title)s, %(content)s, %(description)s, %(category)s,
        %(members_only)s, %(token_cost)s, %(actor)s)"""
_BIGINT_MAX = 2**63 - 1


class PromptText(msgspec.Struct, frozen=True, kw_only=True):
    """What one version of a prompt says and costs."""

    title: str
    content: str
    description: str
    category: str
    members_only: bool
    token_cost: int


class PromptRow(PromptText, frozen=True, kw_only=True):
    """A prompt in its current version; `ordinal` is its place among all, from 1."""

    ordinal: int
    id: str
    version: int


def latest(connection: Connection, prompt_id: str) -> PromptRow | None:
    """The prompt, unless there is none or it is hidden."""
    return latest_of(connection, [prompt_id]).get(prompt_id)


def latest_of(connection: Connection, prompt_ids: Collection[str]) -> dict[str, PromptRow]:
    """The prompts by their ids, without hidden ones."""
    with connection.cursor(row_factory=class_row(PromptRow)) as cursor:
        rows = cursor.execute(_LATEST, (list(prompt_ids),), prepare=True)
        return {row.id: row for row in rows}


class PromptPage(NamedTuple):
    """Prompts below the ordinal `before`; `q` is a part of title or description."""

    category: str | None
    q: str | None
    before: int | None
    limit: int


def list_pages(connection: Connection, asked: Sequence[PromptPage]) -> list[list[PromptRow]]:
    """Each page, newest first; the same page is read once for all who ask for it."""
    pages = {page: list_prompts(connection, page) for page in dict.fromkeys(asked)}
    return [pages[page] for page in asked]


def list_prompts(connection: Connection, page: PromptPage) -> list[PromptRow]:
    """One page, newest first."""
    values: dict[str, Any] = {
        **page._asdict(),
        "before": _BIGINT_MAX if page.before is None else page.before,
    }
    with connection.cursor(row_factory=class_row(PromptRow)) as cursor:
        return cursor.execute(_PAGE, values, prepare=True).fetchall()


def create(connection: Connection, prompt_id: str, text: PromptText, actor: str) -> bool:
    """Whether the prompt was made; not where the id is taken, be it by a hidden one."""
    with connection.transaction():
        if connection.execute(_CREATE, (prompt_id,)).fetchone() is None:
            return False
        _add_version(connection, prompt_id, 1, text, actor)
    return True


def change(connection: Connection, prompt_id: str, changes: dict[str, Any], actor: str) -> bool:
    """Whether the prompt is there; a new version where `changes` change anything."""
    with connection.transaction():
        if connection.execute(_LOCK, (prompt_id,)).fetchone() is None:
            return False
        before = latest(connection, prompt_id)
        assert before is not None
        after = msgspec.structs.replace(before, **changes, version=before.version + 1)
        if msgspec.structs.replace(after, version=before.version) != before:
            _add_version(connection, prompt_id, after.version, after, actor)
            connection.execute(_MOVE, (after.version, prompt_id))
    return True


def hide(connection: Connection, prompt_id: str) -> bool:
    """Whether it was there to be hidden."""
    return connection.execute(_HIDE, (prompt_id,)).rowcount == 1


def _add_version(
    connection: psycopg.Connection[Any], prompt_id: str, version: int, text: PromptText, actor: str
) -> None:
    names = PromptText.__struct_fields__
    values = {name: getattr(text, name) for name in names}
    connection.execute(
        _ADD_VERSION, {**values, "id": prompt_id, "version": version, "actor": actor}
    )
