-- A request and its ending in one range are one write.
ended AS (
    SELECT generation_id AS id, account_id, asked_position AS position, prompt_id, prompt_version,
           title, count, aspect_ratio, cost, reference, asked_at AS created_at,
           CASE
               WHEN topic = 'tokens_consumed:1' THEN 'succeeded'
               WHEN data ->> 'reason' = 'canceled' THEN 'canceled'
               ELSE 'failed'
           END AS outcome,
           CASE topic WHEN 'generation_failed:1' THEN data ->> 'reason' END AS reason,
           CASE topic WHEN 'generation_failed:1' THEN (data ->> 'retryable')::boolean END
               AS retryable,
           at AS ended_at, position AS end_position, is_of_earlier
    FROM told WHERE topic IN ('tokens_consumed:1', 'generation_failed:1')
), whole AS (
    INSERT INTO {generations}
        (id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
         reference, created_at, outcome, reason, retryable, ended_at, end_position)
    SELECT id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
           reference, created_at, outcome, reason, retryable, ended_at, end_position
    FROM ended WHERE NOT is_of_earlier
), part AS (
    -- A request alone, and an ending alone with what its request says: whichever comes first, the
    -- row is the same. By id, so that two who fold ranges beside each other cannot deadlock.
    INSERT INTO {generations}
        (id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
         reference, created_at, outcome, reason, retryable, ended_at, end_position)
    SELECT * FROM (
        SELECT id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio,
               cost, reference, at AS created_at, NULL::text AS outcome, NULL::text AS reason,
               NULL::boolean AS retryable, NULL::timestamptz AS ended_at,
               NULL::bigint AS end_position
        FROM request WHERE NOT is_earlier AND id NOT IN (SELECT id FROM ended)
        UNION ALL
        SELECT id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio,
               cost, reference, created_at, outcome, reason, retryable, ended_at, end_position
        FROM ended WHERE is_of_earlier) AS halves
    ORDER BY id
    ON CONFLICT (id) DO UPDATE
        SET outcome = EXCLUDED.outcome, reason = EXCLUDED.reason, retryable = EXCLUDED.retryable,
            ended_at = EXCLUDED.ended_at, end_position = EXCLUDED.end_position
        WHERE EXCLUDED.outcome IS NOT NULL
)
