-- One line for each fact that moves the settled balance, also where it costs nothing.
-- A grant's reason that is not listed leaves no type, and the fold fails.
-- The range is read once: its requests are there for the titles of what they lead to.
WITH fact AS MATERIALIZED (
    SELECT position, fact_id, account_id, topic, settled, at,
           data ->> 'reason' AS reason,
           CASE topic WHEN 'generation_requested:1' THEN data -> 'prompt' ->> 'title' END AS title,
           CASE topic
               WHEN 'generation_requested:1' THEN NULL
               WHEN 'tokens_consumed:1' THEN -(data ->> 'cost')::bigint
               WHEN 'tokens_revoked:1' THEN -(data ->> 'amount')::bigint
               ELSE (data ->> 'amount')::bigint
           END AS amount,
           CASE topic
               WHEN 'generation_requested:1' THEN fact_id
               ELSE (data ->> 'generation_id')::uuid
           END AS generation_id
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s
        AND topic IN ('generation_requested:1', 'tokens_consumed:1', 'tokens_granted:1',
                      'tokens_revoked:1')
)
INSERT INTO {table}
    (position, id, account_id, type, amount, balance, reason, title, generation_id, created_at)
SELECT moved.position, moved.fact_id, moved.account_id,
       CASE moved.topic
           WHEN 'tokens_consumed:1' THEN 'token_consumption'
           WHEN 'tokens_revoked:1' THEN 'token_adjustment'
           ELSE CASE moved.reason
               WHEN 'welcome' THEN 'token_grant'
               WHEN 'promo' THEN 'token_grant'
               WHEN 'purchase' THEN 'token_purchase'
               WHEN 'refund' THEN 'token_refund'
               WHEN 'adjustment' THEN 'token_adjustment'
           END
       END,
       moved.amount, moved.settled,
       CASE moved.topic
           WHEN 'tokens_consumed:1' THEN 'generation'
           WHEN 'tokens_revoked:1' THEN 'revocation'
           ELSE moved.reason
       END,
       -- Asked for before the range: one look-up by the request's id each.
       coalesce(asked.title,
                (SELECT request.data -> 'prompt' ->> 'title' FROM ledger_facts AS request
                 WHERE request.fact_id = moved.generation_id)),
       moved.generation_id, moved.at
FROM fact AS moved
LEFT JOIN fact AS asked
    ON asked.fact_id = moved.generation_id AND asked.topic = 'generation_requested:1'
WHERE moved.topic <> 'generation_requested:1';
