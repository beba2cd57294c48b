-- A valid log of {events} events over {accounts} accounts, the first one's stream of about {long} events.
-- Narrow rows first: the windows over them are what makes the numbers right.
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL work_mem = '1GB';
SET LOCAL synchronous_commit = off;
SELECT setseed(0.5);

CREATE UNLOGGED TABLE history AS
WITH generation AS MATERIALIZED (
    SELECT g,
           CASE WHEN random() < {long} / 2.0 / {generations} THEN 0
                ELSE 1 + floor(({accounts} - 1) * power(random(), 1.5))::integer END AS account,
           CASE WHEN random() < 0.9 THEN 1 ELSE 2 + g % 3 END AS count,
           CASE WHEN g % 3 = 0 THEN 10 ELSE 5 END AS price,
           random() < 0.08 AS failed,
           1.5 + floor(random() * 200) AS wait
    FROM generate_series(1, {generations}) AS g
), event AS (
    SELECT 'opened' AS kind, a - 1e9 AS at, a AS account, a AS g, 0 AS count, 0 AS amount, 0 AS held
    FROM generate_series(0, {accounts} - 1) AS a
    UNION ALL
    SELECT 'granted', a - 1e9 + 0.5, a, a, 0, 100000, 0 FROM generate_series(0, {accounts} - 1) AS a
    UNION ALL
    SELECT 'requested', g, account, g, count, 0, price * count FROM generation
    UNION ALL
    SELECT CASE WHEN failed THEN 'failed' ELSE 'consumed' END, g + wait, account, g, count,
           CASE WHEN failed THEN 0 ELSE -price * count END, -price * count
    FROM generation
    UNION ALL
    -- One of the others for each of the first generations: each kind is there, few are of it.
    SELECT CASE WHEN g % 4 = 0 AND NOT failed THEN 'refunded' WHEN g % 20 = 1 THEN 'revoked'
                WHEN g % 20 = 2 THEN 'changed' ELSE 'purchased' END,
           g + wait + 0.25, account, g, count,
           CASE WHEN g % 4 = 0 AND NOT failed THEN price * count WHEN g % 20 = 1 THEN -1
                WHEN g % 20 = 2 THEN 0 ELSE 500 END, 0
    FROM generation WHERE g <= {others}
)
SELECT row_number() OVER (ORDER BY at, kind, g) AS position, kind, account, g, count, amount,
       row_number() OVER stream AS version,
       sum(amount) OVER stream AS settled, sum(held) OVER stream AS held,
       abs(held) AS cost
FROM event
WINDOW stream AS (PARTITION BY account ORDER BY at, kind, g);

-- One expression, so that it is inlined.
CREATE FUNCTION pg_temp.bench_id(mark text, number bigint, at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(mark || number), 1, 3) || '8' || substr(md5(mark || number), 4, 15)
$$;
-- As ledger.identity marks what it has hashed.
CREATE FUNCTION pg_temp.bench_hashed(content bytea) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (substr(hash, 1, 12) || '8' || substr(hash, 14, 3)
        || substr('89ab', 1 + (get_byte(digest, 8) >> 4 & 3), 1) || substr(hash, 18, 15))::uuid
    FROM sha256(content) AS digest, encode(substr(digest, 1, 16), 'hex') AS hash
$$;

INSERT INTO ledger_events
    (position, account_id, version, topic, at, actor, fact_id, key_id, input_hash, settled, held,
     data)
SELECT position, 'bench-' || account, version,
       CASE kind
           WHEN 'opened' THEN 'account_opened:1'
           WHEN 'changed' THEN 'membership_changed:1'
           WHEN 'revoked' THEN 'tokens_revoked:1'
           WHEN 'requested' THEN 'generation_requested:1'
           WHEN 'consumed' THEN 'tokens_consumed:1'
           WHEN 'failed' THEN 'generation_failed:1'
           ELSE 'tokens_granted:1'
       END,
       now.at,
       CASE WHEN kind IN ('consumed', 'failed') THEN 'worker'
            WHEN kind = 'requested' THEN 'key:bench-' || account ELSE 'admin:bench' END,
       CASE kind
           WHEN 'requested' THEN generation::uuid
           WHEN 'consumed' THEN overlay(generation PLACING '8' FROM 13)::uuid
           WHEN 'failed' THEN overlay(generation PLACING '8' FROM 13)::uuid
           WHEN 'refunded' THEN pg_temp.bench_hashed(
               int8send(6) || 'refund'::bytea || int8send(16) || uuid_send(generation::uuid))
           ELSE pg_temp.bench_id(kind, position, now.at)::uuid
       END,
       CASE WHEN kind = 'requested' THEN pg_temp.bench_hashed(uuid_send(generation::uuid)) END,
       CASE WHEN kind = 'requested' THEN pg_temp.bench_hashed(int8send(g)) END,
       settled, held,
       CASE kind
           WHEN 'opened' THEN jsonb_build_object('is_member', account % 2 = 0)
           WHEN 'changed' THEN jsonb_build_object('is_member', g % 40 = 2)
           WHEN 'granted' THEN jsonb_build_object('amount', amount, 'reason', 'welcome')
           WHEN 'purchased' THEN jsonb_build_object('amount', amount, 'reason', 'purchase')
           WHEN 'refunded' THEN jsonb_build_object(
               'amount', amount, 'reason', 'refund', 'generation_id', generation::uuid,
               'note_id', pg_temp.bench_id('note', g, now.at)::uuid)
           WHEN 'revoked' THEN jsonb_build_object(
               'amount', -amount, 'note_id', pg_temp.bench_id('note', g, now.at)::uuid)
           WHEN 'requested' THEN jsonb_build_object(
               'generation_id', generation::uuid, 'count', count, 'aspect_ratio', '1:1',
               'cost', cost, 'prompt', jsonb_build_object(
                   'id', 'prompt-' || g % 9, 'version', 1, 'title', '梦幻森林 ' || g % 9,
                   'token_cost', cost / count))
           WHEN 'failed' THEN jsonb_build_object(
               'generation_id', generation::uuid, 'cost', cost,
               'reason', (ARRAY['blocked', 'timeout', 'canceled', 'expired'])[1 + g % 4],
               'retryable', g % 4 = 1, 'attempts', '[]'::jsonb)
           WHEN 'consumed' THEN jsonb_build_object(
               'generation_id', generation::uuid, 'cost', cost,
               'images', (SELECT jsonb_agg(jsonb_build_object(
                       'id', pg_temp.bench_id('image' || n, g, now.at)::uuid,
                       'key', 'bench-' || account || '/' || generation || '/1-' || n || '.png',
                       'thumbnail_key',
                       'bench-' || account || '/' || generation || '/1-' || n || '.webp',
                       'sha256', md5('a' || g) || md5('b' || n), 'mime_type', 'image/png',
                       'width', 1024, 'height', 1024, 'bytes', 1500000 + g % 1000,
                       'model', 'bench-1', 'response_id', md5('r' || g),
                       'usage', jsonb_build_object('total', 1290)))
                   FROM generate_series(1, count) AS n),
               'attempts', jsonb_build_array(jsonb_build_object(
                   'attempt', 1, 'image', 0, 'outcome', 'ok',
                   'started_at', now.at - interval '9 seconds', 'ended_at', now.at)))
       END
FROM history,
     -- Not pulled up, where they would be worked out anew at each use.
     LATERAL (SELECT timestamptz '2026-01-01 00:00:00+00' + position * interval '100 ms' AS at
              OFFSET 0) AS now,
     LATERAL (SELECT pg_temp.bench_id('g', g, timestamptz '2026-01-01 00:00:00+00'
                  + g * interval '100 ms') AS generation OFFSET 0) AS named
ORDER BY position;

DROP TABLE history
