generation AS NOT MATERIALIZED (
    SELECT generation_id AS id, account_id, position,
           CASE
               WHEN topic = 'tokens_consumed:1' THEN 'succeeded'
               WHEN reason = 'canceled' THEN 'canceled'
               WHEN topic = 'generation_failed:1' THEN 'failed'
           END AS outcome,
           end_position,
           -- A request and its ending in one range are one write.
           topic IS NOT NULL AND is_asked_here AS is_whole
    FROM told
), whole AS (
    INSERT INTO {generations} (id, account_id, position, outcome, end_position)
    SELECT id, account_id, position, outcome, end_position FROM generation WHERE is_whole
), part AS (
    -- A request alone, and an ending alone with what its request says: whichever comes first, the
    -- row is the same. By id, so that two who fold ranges beside each other cannot deadlock.
    INSERT INTO {generations} (id, account_id, position, outcome, end_position)
    SELECT id, account_id, position, outcome, end_position FROM generation WHERE NOT is_whole
    ORDER BY id
    ON CONFLICT (id) DO UPDATE
        SET outcome = EXCLUDED.outcome, end_position = EXCLUDED.end_position
        WHERE EXCLUDED.outcome IS NOT NULL
)
