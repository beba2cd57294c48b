-- A request and its ending in one range are one write; an ending alone completes its request's row.
-- The range is read once; of a charge, only that it came is taken.
WITH fact AS MATERIALIZED (
    SELECT topic, account_id, position, at,
           CASE topic WHEN 'tokens_consumed:1' THEN NULL ELSE data END AS data,
           CASE topic
               WHEN 'generation_requested:1' THEN fact_id
               ELSE (data ->> 'generation_id')::uuid
           END AS id
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s
        AND topic IN ('generation_requested:1', 'tokens_consumed:1', 'generation_failed:1')
), ended AS (
    SELECT id, position AS end_position, at AS ended_at, data ->> 'reason' AS reason,
           (data ->> 'retryable')::boolean AS retryable,
           CASE
               WHEN topic = 'tokens_consumed:1' THEN 'succeeded'
               WHEN data ->> 'reason' = 'canceled' THEN 'canceled'
               ELSE 'failed'
           END AS outcome
    FROM fact WHERE topic <> 'generation_requested:1'
), earlier AS (
    SELECT ended.*,
           (SELECT request FROM ledger_facts AS request WHERE request.fact_id = ended.id) AS request
    FROM ended
    WHERE id NOT IN (SELECT id FROM fact WHERE topic = 'generation_requested:1')
), completed AS (
    -- Not an UPDATE: whatever the planner believes, a conflict is one look-up.
    INSERT INTO {table}
        (id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
         reference, created_at, outcome, reason, retryable, ended_at, end_position)
    SELECT id, (request).account_id, (request).position, (request).data -> 'prompt' ->> 'id',
           ((request).data -> 'prompt' ->> 'version')::integer,
           (request).data -> 'prompt' ->> 'title', ((request).data ->> 'count')::integer,
           (request).data ->> 'aspect_ratio', ((request).data ->> 'cost')::bigint,
           (request).data -> 'reference', (request).at,
           outcome, reason, retryable, ended_at, end_position
    FROM earlier
    ON CONFLICT (id) DO UPDATE
        SET outcome = EXCLUDED.outcome, reason = EXCLUDED.reason, retryable = EXCLUDED.retryable,
            ended_at = EXCLUDED.ended_at, end_position = EXCLUDED.end_position
)
INSERT INTO {table}
    (id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
     reference, created_at, outcome, reason, retryable, ended_at, end_position)
SELECT id, account_id, position, data -> 'prompt' ->> 'id',
       (data -> 'prompt' ->> 'version')::integer, data -> 'prompt' ->> 'title',
       (data ->> 'count')::integer, data ->> 'aspect_ratio', (data ->> 'cost')::bigint,
       data -> 'reference', at, outcome, reason, retryable, ended_at, end_position
FROM fact LEFT JOIN ended USING (id)
WHERE topic = 'generation_requested:1';
