-- One line for each fact that moves the settled balance, also where it costs nothing.
-- A grant's reason that is not listed leaves no type, and the fold fails.
WITH asked AS MATERIALIZED (
    SELECT fact_id AS generation_id, data -> 'prompt' ->> 'title' AS title
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s AND topic = 'generation_requested:1'
), moved AS MATERIALIZED (
    SELECT position, fact_id, account_id, topic, settled, at, data ->> 'reason' AS reason,
           (data ->> CASE topic WHEN 'tokens_consumed:1' THEN 'cost' ELSE 'amount' END)::bigint
               AS amount,
           (data ->> 'generation_id')::uuid AS generation_id
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s
        AND topic IN ('tokens_granted:1', 'tokens_consumed:1', 'tokens_revoked:1')
)
INSERT INTO {table}
    (position, id, account_id, type, amount, balance, reason, title, generation_id, created_at)
SELECT position, fact_id, account_id,
       CASE topic
           WHEN 'tokens_consumed:1' THEN 'token_consumption'
           WHEN 'tokens_revoked:1' THEN 'token_adjustment'
           ELSE CASE reason
               WHEN 'welcome' THEN 'token_grant'
               WHEN 'promo' THEN 'token_grant'
               WHEN 'purchase' THEN 'token_purchase'
               WHEN 'refund' THEN 'token_refund'
               WHEN 'adjustment' THEN 'token_adjustment'
           END
       END,
       CASE topic WHEN 'tokens_granted:1' THEN amount ELSE -amount END,
       settled,
       CASE topic
           WHEN 'tokens_consumed:1' THEN 'generation'
           WHEN 'tokens_revoked:1' THEN 'revocation'
           ELSE reason
       END,
       -- Asked for before the range: one look-up by the request's id each.
       coalesce(asked.title,
                (SELECT request.data -> 'prompt' ->> 'title' FROM ledger_facts AS request
                 WHERE request.fact_id = moved.generation_id)),
       generation_id,
       at
FROM moved LEFT JOIN asked USING (generation_id);
