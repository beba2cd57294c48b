"""The views a second time, in plain Python: what the SQL must agree with, row by row."""

from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from ledger.entry import Entry
from ledger.facts import (
    AccountOpened,
    GenerationFailed,
    GenerationRequested,
    MembershipChanged,
    TokensConsumed,
    TokensGranted,
    TokensRevoked,
)

Row = dict[str, Any]
Tables = dict[str, list[Row]]

ORDER = {
    "balances": "account_id",
    "transactions": "position",
    "generations": "position",
    "images": "position, ordinal",
}
KEPT = {
    "balances": {"account_id", "is_member", "settled", "held", "version", "position"},
    "transactions": {"position", "account_id", "type", "amount", "balance"},
    "generations": {"id", "account_id", "position", "outcome", "end_position"},
    "images": {"id", "account_id", "position", "ordinal", "title"},
}
GRANT_TYPES = {
    "welcome": "token_grant",
    "promo": "token_grant",
    "purchase": "token_purchase",
    "refund": "token_refund",
    "adjustment": "token_adjustment",
}


def read_tables(url: str, suffix: str = "") -> Tables:
    """What the views' tables hold, each in a fixed order."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return {
            name: connection.execute(
                sql.SQL("SELECT * FROM {} ORDER BY ").format(sql.Identifier(name + suffix))
                + sql.SQL(order)
            ).fetchall()
            for name, order in ORDER.items()
        }


def fold(log: list[Entry]) -> Tables:
    """The rows that the log leads to."""
    return {
        view: [{name: row[name] for name in row if name in KEPT[view]} for row in rows]
        for view, rows in shown(log).items()
    }


def shown(log: list[Entry]) -> Tables:
    """The same rows with all that is shown of them."""
    balances: dict[str, Row] = {}
    transactions: list[Row] = []
    generations: dict[Any, Row] = {}
    images: list[Row] = []
    for entry in log:
        fact = entry.fact
        member = fact.is_member if isinstance(fact, AccountOpened | MembershipChanged) else None
        known = balances.get(entry.account_id)
        balances[entry.account_id] = {
            "account_id": entry.account_id,
            "is_member": known["is_member"] if member is None and known else member,
            "settled": entry.settled,
            "held": entry.held,
            "version": entry.version,
            "position": entry.position,
        }
        match fact:
            case GenerationRequested():
                generations[fact.generation_id] = _requested(entry, fact)
            case TokensConsumed():
                asked = generations[fact.generation_id]
                transactions.append(_line(entry, "token_consumption", -fact.cost, "generation"))
                asked |= _ended(entry, "succeeded", None, None)
                images += [_image(entry, n, i, asked) for n, i in enumerate(fact.images, 1)]
            case GenerationFailed():
                outcome = "canceled" if fact.reason == "canceled" else "failed"
                ended = _ended(entry, outcome, fact.reason, fact.retryable)
                generations[fact.generation_id] |= ended
            case TokensGranted():
                kind = GRANT_TYPES[fact.reason]
                transactions.append(_line(entry, kind, fact.amount, fact.reason))
            case TokensRevoked():
                transactions.append(_line(entry, "token_adjustment", -fact.amount, "revocation"))
    for line in transactions:
        if line["generation_id"]:
            line["title"] = generations[line["generation_id"]]["title"]
    return {
        "balances": [balances[name] for name in sorted(balances)],
        "transactions": transactions,
        "generations": list(generations.values()),
        "images": images,
    }


def _line(entry: Entry, kind: str, amount: int, reason: str) -> Row:
    return {
        "position": entry.position,
        "id": entry.fact_id,
        "account_id": entry.account_id,
        "type": kind,
        "amount": amount,
        "balance": entry.settled,
        "reason": reason,
        "title": None,
        "generation_id": getattr(entry.fact, "generation_id", None),
        "created_at": entry.at,
    }


def _requested(entry: Entry, fact: GenerationRequested) -> Row:
    return {
        "id": fact.generation_id,
        "account_id": entry.account_id,
        "position": entry.position,
        "prompt_id": fact.prompt.id,
        "prompt_version": fact.prompt.version,
        "title": fact.prompt.title,
        "count": fact.count,
        "aspect_ratio": fact.aspect_ratio,
        "cost": fact.cost,
        "reference": msgspec.to_builtins(fact.reference),
        "created_at": entry.at,
        "outcome": None,
        "reason": None,
        "retryable": None,
        "ended_at": None,
        "end_position": None,
    }


def _ended(entry: Entry, outcome: str, reason: str | None, retryable: bool | None) -> Row:  # noqa: FBT001 - a column
    return {
        "outcome": outcome,
        "reason": reason,
        "retryable": retryable,
        "ended_at": entry.at,
        "end_position": entry.position,
    }


def _image(entry: Entry, ordinal: int, image: Any, asked: Row) -> Row:
    row: Row = msgspec.structs.asdict(image)
    del row["response_id"], row["usage"]
    return row | {
        "generation_id": asked["id"],
        "account_id": entry.account_id,
        "position": entry.position,
        "ordinal": ordinal,
        "prompt_id": asked["prompt_id"],
        "title": asked["title"],
        "created_at": entry.at,
    }
