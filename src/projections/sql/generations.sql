-- A request and its ending in one range are one write.
whole AS (
    INSERT INTO {generations}
        (id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
         reference, created_at, outcome, reason, retryable, ended_at, end_position)
    SELECT generation_id, account_id, asked_position, asked #>> '{{prompt,id}}',
           (asked #>> '{{prompt,version}}')::integer, asked #>> '{{prompt,title}}',
           (asked ->> 'count')::integer, asked ->> 'aspect_ratio', (asked ->> 'cost')::bigint,
           asked -> 'reference', asked_at,
           CASE
               WHEN topic = 'tokens_consumed:1' THEN 'succeeded'
               WHEN data ->> 'reason' = 'canceled' THEN 'canceled'
               ELSE 'failed'
           END,
           CASE topic WHEN 'generation_failed:1' THEN data ->> 'reason' END,
           CASE topic WHEN 'generation_failed:1' THEN (data ->> 'retryable')::boolean END,
           at, position
    FROM told
    WHERE topic IN ('tokens_consumed:1', 'generation_failed:1') AND is_asked_here
), part AS (
    -- A request alone, and an ending alone with what its request says: whichever comes first, the
    -- row is the same. By id, so that two who fold ranges beside each other cannot deadlock.
    INSERT INTO {generations}
        (id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
         reference, created_at, outcome, reason, retryable, ended_at, end_position)
    SELECT generation_id, account_id, asked_position, asked #>> '{{prompt,id}}',
           (asked #>> '{{prompt,version}}')::integer, asked #>> '{{prompt,title}}',
           (asked ->> 'count')::integer, asked ->> 'aspect_ratio', (asked ->> 'cost')::bigint,
           asked -> 'reference', asked_at,
           CASE
               WHEN topic = 'tokens_consumed:1' THEN 'succeeded'
               WHEN data ->> 'reason' = 'canceled' THEN 'canceled'
               WHEN topic = 'generation_failed:1' THEN 'failed'
           END,
           CASE topic WHEN 'generation_failed:1' THEN data ->> 'reason' END,
           CASE topic WHEN 'generation_failed:1' THEN (data ->> 'retryable')::boolean END,
           at, position
    FROM told
    WHERE topic IS NULL
        OR topic IN ('tokens_consumed:1', 'generation_failed:1') AND NOT is_asked_here
    ORDER BY generation_id
    ON CONFLICT (id) DO UPDATE
        SET outcome = EXCLUDED.outcome, reason = EXCLUDED.reason, retryable = EXCLUDED.retryable,
            ended_at = EXCLUDED.ended_at, end_position = EXCLUDED.end_position
        WHERE EXCLUDED.outcome IS NOT NULL
)
