"""A long log, filled in SQL: many accounts, one of 10,000 events, each stream a valid one."""

from typing import Any

import psycopg

LONG = "bench-long"
LONG_EVENTS = 10_000
EVENTS_OF_AN_ACCOUNT = 200
GRANTED = 1_000_000_000
STEP = 200_000

_HEAD = "SELECT coalesce(max(position), 0) FROM ledger_events"
# Account 0 is the long one. A generation `t` is its own every `every`-th time, else the next
# account's: so that how many came before in a stream, and what they cost, follows from `t`.
_OPENINGS = """
INSERT INTO ledger_events
    (position, account_id, version, topic, at, actor, fact_id, settled, held, data)
SELECT a * 2 + v, CASE a WHEN 0 THEN 'bench-long' ELSE 'bench-' || a END, v,
       CASE v WHEN 1 THEN 'account_opened:1' ELSE 'tokens_granted:1' END,
       timestamptz '2026-01-01Z' + (a * 2 + v) * interval '50 ms', 'cli', gen_random_uuid(),
       CASE v WHEN 1 THEN 0 ELSE %(granted)s END, 0,
       CASE v WHEN 1 THEN jsonb_build_object('is_member', true)
       ELSE jsonb_build_object('amount', %(granted)s, 'reason', 'welcome') END
FROM generate_series(0, %(accounts)s) AS a, generate_series(1, 2) AS v"""
_GENERATIONS = """
INSERT INTO ledger_events
    (position, account_id, version, topic, at, actor, fact_id, settled, held, data)
SELECT position, CASE a WHEN 0 THEN 'bench-long' ELSE 'bench-' || a END, 2 + 2 * k + part,
       CASE WHEN part = 1 THEN 'generation_requested:1'
            WHEN failed THEN 'generation_failed:1' ELSE 'tokens_consumed:1' END,
       timestamptz '2026-01-01Z' + position * interval '50 ms',
       CASE part WHEN 1 THEN 'key:bench-' || a ELSE 'worker:bench-' || t / 10000 END,
       CASE part WHEN 1 THEN id ELSE overlay(id::text PLACING '8' FROM 15)::uuid END,
       %(granted)s - 5 * CASE WHEN part = 1 AND NOT failed THEN consumed - 1 ELSE consumed END,
       CASE part WHEN 1 THEN 5 ELSE 0 END,
       CASE WHEN part = 1 THEN jsonb_build_object(
           'generation_id', id, 'count', 1, 'aspect_ratio', '1:1', 'cost', 5, 'prompt',
           jsonb_build_object('id', 'bench', 'version', 1, 'title', '梦幻森林', 'token_cost', 5))
       WHEN failed THEN jsonb_build_object(
           'generation_id', id, 'cost', 5, 'reason', 'blocked', 'retryable', false)
       ELSE jsonb_build_object('generation_id', id, 'cost', 5, 'images', jsonb_build_array(
           jsonb_build_object(
               'id', id, 'key', a || '/' || id || '/1-0-0123456789abcdef.png',
               'thumbnail_key', a || '/' || id || '/1-0-0123456789abcdef.webp',
               'sha256', repeat('0', 64), 'mime_type', 'image/png', 'width', 1024,
               'height', 1024, 'bytes', 1500000, 'model', 'bench')))
       END
FROM (
    SELECT t, a, k, id, part, (k + a) %% 10 = 9 AS failed,
           k + 1 - (k + a + 1) / 10 + a / 10 AS consumed,
           (%(accounts)s + 1) * 2 + 2 * t + part AS position
    FROM (
        SELECT t, CASE WHEN t %% %(every)s = 0 THEN 0 ELSE 1 + s %% %(accounts)s END AS a,
               CASE WHEN t %% %(every)s = 0 THEN t / %(every)s ELSE s / %(accounts)s END AS k,
               overlay(overlay(md5('g' || t) PLACING '7' FROM 13) PLACING '8' FROM 17)::uuid AS id
        FROM (SELECT t, t - t / %(every)s - 1 AS s
              FROM generate_series(%(low)s::bigint, %(high)s - 1) AS t) AS numbers
    ) AS asked, generate_series(1, 2) AS part
) AS facts
ORDER BY position"""


def fill(connection: psycopg.Connection[Any], events: int) -> int:
    """Make the log `events` long, give or take one, unless it is; returns how long it is.

    Needs the role that owns the tables, in autocommit mode.
    """
    accounts = max(events // EVENTS_OF_AN_ACCOUNT, 1)
    generations = (events - 2 * accounts - 2) // 2
    values = {
        "granted": GRANTED,
        "accounts": accounts,
        "every": max(generations * 2 // LONG_EVENTS, 2),
    }
    wanted = 2 * (accounts + 1 + generations)
    if (found := _head(connection)) != wanted:
        if found:
            raise ValueError(f"the log is {found} events long, and not empty or {wanted}")
        connection.execute(_OPENINGS.encode(), values)
        for low in range(0, generations, STEP):
            span = {"low": low, "high": min(low + STEP, generations)}
            connection.execute(_GENERATIONS.encode(), values | span)
        connection.execute("VACUUM ANALYZE ledger_events")
    return wanted


def _head(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(_HEAD.encode()).fetchone()
    return int(row[0]) if row else 0
