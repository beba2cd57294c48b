-- One line for each fact that moves the settled balance, also where it costs nothing.
-- A grant's reason that is not listed leaves no type, and the fold fails.
transactions AS (
    INSERT INTO {transactions}
        (position, id, account_id, type, amount, balance, reason, title, generation_id, created_at)
    SELECT position, fact_id, account_id,
           CASE topic
               WHEN 'tokens_consumed:1' THEN 'token_consumption'
               WHEN 'tokens_revoked:1' THEN 'token_adjustment'
               ELSE CASE data ->> 'reason'
                   WHEN 'welcome' THEN 'token_grant'
                   WHEN 'promo' THEN 'token_grant'
                   WHEN 'purchase' THEN 'token_purchase'
                   WHEN 'refund' THEN 'token_refund'
                   WHEN 'adjustment' THEN 'token_adjustment'
               END
           END,
           CASE topic
               WHEN 'tokens_consumed:1' THEN -(data ->> 'cost')::bigint
               WHEN 'tokens_revoked:1' THEN -(data ->> 'amount')::bigint
               ELSE (data ->> 'amount')::bigint
           END,
           settled,
           CASE topic
               WHEN 'tokens_consumed:1' THEN 'generation'
               WHEN 'tokens_revoked:1' THEN 'revocation'
               ELSE data ->> 'reason'
           END,
           asked #>> '{{prompt,title}}', generation_id, at
    FROM told
    WHERE topic IN ('tokens_consumed:1', 'tokens_granted:1', 'tokens_revoked:1')
)
