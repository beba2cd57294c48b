"""Dividing the accounts, so that several processes share the work."""

from typing import Any

import psycopg

from projections.verify.reading import Range

SAMPLES = 2_000
"""How many places of the log are looked at to see where its accounts lie."""

_SAMPLE = b"""
SELECT e.account_id FROM generate_series(1, %(head)s, greatest(1, %(head)s / %(samples)s)) AS p
JOIN ledger_events AS e ON e.position = p"""


def divide(connection: psycopg.Connection[Any], head: int, parts: int) -> list[Range]:
    """At most `parts` ranges with about as many events each; together they hold every account."""
    if parts <= 1 or head == 0:
        return [Range()]
    rows = connection.execute(_SAMPLE, {"head": head, "samples": SAMPLES})
    # Python orders texts as their UTF-8 bytes are ordered.
    names = sorted(row[0] for row in rows)
    bounds = sorted(
        {names[len(names) * part // parts] for part in range(1, parts)} if names else ()
    )
    return [Range(a, b) for a, b in zip([None, *bounds], [*bounds, None], strict=True)]
