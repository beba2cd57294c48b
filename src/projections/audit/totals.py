"""What an account's tokens came from and went to: its whole stream, added up by the database."""

from collections import Counter
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row

_TOTALS = b"""
SELECT type, coalesce(data ->> 'reason', '') AS reason, count(*) AS count,
       count(*) FILTER (WHERE tokens > 0) AS paid,
       coalesce(sum(tokens), 0)::bigint AS amount,
       coalesce(sum(jsonb_array_length(data -> 'images')), 0)::bigint AS images
FROM ledger_facts
CROSS JOIN LATERAL (SELECT coalesce(data ->> 'amount', data ->> 'cost')::bigint AS tokens) AS named
WHERE account_id = %(account_id)s AND version <= %(version)s
GROUP BY 1, 2 ORDER BY 1, 2"""

_HOLDING = ("generation_requested", "tokens_consumed", "generation_failed")


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """How often a kind of fact stands there, and the tokens that it named, all together.

    `paid` are those that named any.
    """

    type: str
    reason: str
    count: int
    paid: int
    amount: int
    images: int


class Totals(msgspec.Struct, frozen=True):
    """All of an account's, up to a version."""

    each: tuple[Total, ...]

    def of(self, kind: str) -> tuple[int, int]:
        """How many facts of that kind, and their tokens."""
        chosen = [total for total in self.each if total.type == kind]
        return sum(t.count for t in chosen), sum(t.amount for t in chosen)

    @property
    def granted(self) -> dict[str, tuple[int, int]]:
        """Grants by their reason, refunds among them."""
        return {t.reason: (t.count, t.amount) for t in self.each if t.type == "tokens_granted"}

    @property
    def outcomes(self) -> dict[str, int]:
        """Generations by how they ended: `succeeded`, `failed`, `canceled`, or still `open`."""
        failures = self.failures
        canceled, failed = failures["canceled"], sum(failures.values()) - failures["canceled"]
        succeeded, asked = self.of("tokens_consumed")[0], self.of("generation_requested")[0]
        return {
            "succeeded": succeeded,
            "failed": failed,
            "canceled": canceled,
            "open": asked - succeeded - failed - canceled,
        }

    @property
    def failures(self) -> Counter[str]:
        """Generations that ended without a charge, by the reason."""
        return Counter({t.reason: t.count for t in self.each if t.type == "generation_failed"})

    @property
    def open_holds(self) -> int:
        """Open generations that cost something."""
        paid = Counter(dict.fromkeys(_HOLDING, 0))
        for total in self.each:
            paid[total.type] += total.paid
        asked, *ended = (paid[kind] for kind in _HOLDING)
        return asked - sum(ended)

    @property
    def images(self) -> int:
        """Images that were charged for."""
        return sum(total.images for total in self.each)

    @property
    def settled(self) -> int:
        """What all of it comes to: granted − revoked − consumed."""
        return (
            self.of("tokens_granted")[1]
            - self.of("tokens_revoked")[1]
            - self.of("tokens_consumed")[1]
        )

    @property
    def held(self) -> int:
        """What requests held and no ending has released: the cost of the open ones."""
        ended = self.of("tokens_consumed")[1] + self.of("generation_failed")[1]
        return self.of("generation_requested")[1] - ended


def totals_of(connection: psycopg.Connection[Any], account_id: str, version: int) -> Totals:
    """The account's facts up to `version`, added up; reads each of them, and keeps a few rows."""
    with connection.cursor(row_factory=class_row(Total)) as cursor:
        values = {"account_id": account_id, "version": version}
        return Totals(tuple(cursor.execute(_TOTALS, values, prepare=False)))
