-- One line for each fact that moves the settled balance, also where it costs nothing.
-- A grant's reason that is not listed leaves no type, and the fold fails.
INSERT INTO {table}
    (position, id, account_id, type, amount, balance, reason, title, generation_id, created_at)
SELECT position, fact_id, account_id,
       CASE type
           WHEN 'tokens_consumed' THEN 'token_consumption'
           WHEN 'tokens_revoked' THEN 'token_adjustment'
           ELSE CASE data ->> 'reason'
               WHEN 'welcome' THEN 'token_grant'
               WHEN 'promo' THEN 'token_grant'
               WHEN 'purchase' THEN 'token_purchase'
               WHEN 'refund' THEN 'token_refund'
               WHEN 'adjustment' THEN 'token_adjustment'
           END
       END,
       CASE type
           WHEN 'tokens_consumed' THEN -(data ->> 'cost')::bigint
           WHEN 'tokens_revoked' THEN -(data ->> 'amount')::bigint
           ELSE (data ->> 'amount')::bigint
       END,
       settled,
       CASE type
           WHEN 'tokens_consumed' THEN 'generation'
           WHEN 'tokens_revoked' THEN 'revocation'
           ELSE data ->> 'reason'
       END,
       (SELECT request.data -> 'prompt' ->> 'title' FROM ledger_facts AS request
        WHERE request.fact_id = (fact.data ->> 'generation_id')::uuid),
       (data ->> 'generation_id')::uuid,
       at
FROM ledger_facts AS fact
WHERE position > %(after)s AND position <= %(upto)s
    AND type IN ('tokens_granted', 'tokens_consumed', 'tokens_revoked');
