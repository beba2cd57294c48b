"""Prompts as callers are shown them: pages, and whether who asks is a member, for many at once."""

from collections.abc import Sequence
from typing import NamedTuple

from api.accounts.numbers import numbers_of_all
from api.connection import Connection
from api.prompts.store import PromptPage, PromptRow, list_pages


class Asked(NamedTuple):
    """A page, and the account that it is for, if it is for one."""

    page: PromptPage
    account_id: str | None


class Shown(NamedTuple):
    """The page's rows, newest first; for no account there is no member."""

    rows: list[PromptRow]
    is_member: bool


def look(connection: Connection, asked: Sequence[Asked]) -> list[Shown]:
    """In that order."""
    account_ids = [each.account_id or "" for each in asked]
    accounts = numbers_of_all(connection, account_ids)
    pages = list_pages(connection, [each.page for each in asked])
    return [
        Shown(rows, numbers is not None and numbers.is_member)
        for rows, numbers in zip(pages, accounts, strict=True)
    ]
