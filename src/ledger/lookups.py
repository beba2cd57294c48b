"""Which ids of a command are looked up in the log before it is decided, or in the same commit.

A command that came before is answered with what it led to then, whatever the account is like now.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from ledger.account import Account
from ledger.commands import (
    GrantTokens,
    RefundGeneration,
    ReleaseGeneration,
    RequestGeneration,
    SettleGeneration,
    Submission,
)
from ledger.identity import ending_id, fact_id

CHECK_ABSENT = "ledger_check_absent({})"
"""Fails with `PRESENT` where the log has a fact or a key of one of those ids; NULL is none."""

PRESENT = "MT002"
"""SQLSTATE."""


def ids_of(submission: Submission, *, again: bool = False) -> list[UUID]:
    """Its key id, or the fact id where that may stand in the log without the account's knowing.

    Both where it is recorded `again`, since its own first attempt may be there.
    """
    ids = [submission.key_id] if submission.key_id else []
    match submission.command:
        case GrantTokens(reference=str()) | RefundGeneration():
            ids.append(fact_id(submission.command))
        case RequestGeneration() if again or not submission.key_id:
            ids.append(fact_id(submission.command))
        case SettleGeneration() | ReleaseGeneration() if again:
            ids.append(fact_id(submission.command))
    return ids


def late_ids(submissions: Iterable[Submission], accounts: Mapping[str, Account]) -> list[UUID]:
    """The endings of generations that are not open, so that the first ending is handed back."""
    return [
        ending_id(submission.command.generation_id)
        for submission in submissions
        if isinstance(submission.command, SettleGeneration | ReleaseGeneration)
        and submission.command.generation_id not in accounts[submission.command.account_id].holds
    ]
