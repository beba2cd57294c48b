-- One line for each fact that moves the settled balance, also where it costs nothing.
-- A grant's reason that is not listed leaves no type, and the fold fails.
transactions AS (
    INSERT INTO {transactions} (position, account_id, type, amount, balance)
    SELECT position, account_id,
           CASE topic
               WHEN 'tokens_consumed:1' THEN 'token_consumption'
               WHEN 'tokens_revoked:1' THEN 'token_adjustment'
               ELSE CASE word
                   WHEN 'welcome' THEN 'token_grant'
                   WHEN 'promo' THEN 'token_grant'
                   WHEN 'purchase' THEN 'token_purchase'
                   WHEN 'refund' THEN 'token_refund'
                   WHEN 'adjustment' THEN 'token_adjustment'
               END
           END,
           amount, settled
    FROM fact
    WHERE topic IN ('tokens_consumed:1', 'tokens_granted:1', 'tokens_revoked:1')
)
