generation AS NOT MATERIALIZED (
    SELECT generation_id AS id, account_id, asked_position AS position,
           asked #>> '{{prompt,id}}' AS prompt_id,
           (asked #>> '{{prompt,version}}')::integer AS prompt_version,
           asked #>> '{{prompt,title}}' AS title, (asked ->> 'count')::integer AS count,
           asked ->> 'aspect_ratio' AS aspect_ratio, (asked ->> 'cost')::bigint AS cost,
           asked -> 'reference' AS reference, asked_at AS created_at,
           CASE
               WHEN topic = 'tokens_consumed:1' THEN 'succeeded'
               WHEN data ->> 'reason' = 'canceled' THEN 'canceled'
               WHEN topic = 'generation_failed:1' THEN 'failed'
           END AS outcome,
           CASE topic WHEN 'generation_failed:1' THEN data ->> 'reason' END AS reason,
           CASE topic WHEN 'generation_failed:1' THEN (data ->> 'retryable')::boolean END
               AS retryable,
           at AS ended_at, told.position AS end_position,
           -- A request and its ending in one range are one write.
           topic IS NOT NULL AND is_asked_here AS is_whole
    FROM told
    WHERE topic IS NULL OR topic IN ('tokens_consumed:1', 'generation_failed:1')
), whole AS (
    INSERT INTO {generations}
        (id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
         reference, created_at, outcome, reason, retryable, ended_at, end_position)
    SELECT id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
           reference, created_at, outcome, reason, retryable, ended_at, end_position
    FROM generation WHERE is_whole
), part AS (
    -- A request alone, and an ending alone with what its request says: whichever comes first, the
    -- row is the same. By id, so that two who fold ranges beside each other cannot deadlock.
    INSERT INTO {generations}
        (id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
         reference, created_at, outcome, reason, retryable, ended_at, end_position)
    SELECT id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
           reference, created_at, outcome, reason, retryable, ended_at, end_position
    FROM generation WHERE NOT is_whole
    ORDER BY id
    ON CONFLICT (id) DO UPDATE
        SET outcome = EXCLUDED.outcome, reason = EXCLUDED.reason, retryable = EXCLUDED.retryable,
            ended_at = EXCLUDED.ended_at, end_position = EXCLUDED.end_position
        WHERE EXCLUDED.outcome IS NOT NULL
)
