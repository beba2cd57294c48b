INSERT INTO {table}
    (id, account_id, position, prompt_id, prompt_version, title, count, aspect_ratio, cost,
     reference, created_at)
SELECT (data ->> 'generation_id')::uuid, account_id, position, data -> 'prompt' ->> 'id',
       (data -> 'prompt' ->> 'version')::integer, data -> 'prompt' ->> 'title',
       (data ->> 'count')::integer, data ->> 'aspect_ratio', (data ->> 'cost')::bigint,
       data -> 'reference', at
FROM ledger_facts
WHERE position > %(after)s AND position <= %(upto)s AND type = 'generation_requested';

UPDATE {table} AS generation
SET outcome = CASE
        WHEN fact.type = 'tokens_consumed' THEN 'succeeded'
        WHEN fact.data ->> 'reason' = 'canceled' THEN 'canceled'
        ELSE 'failed'
    END,
    reason = fact.data ->> 'reason',
    retryable = (fact.data ->> 'retryable')::boolean,
    ended_at = fact.at,
    end_position = fact.position
FROM ledger_facts AS fact
WHERE fact.position > %(after)s AND fact.position <= %(upto)s
    AND fact.type IN ('tokens_consumed', 'generation_failed')
    AND generation.id = (fact.data ->> 'generation_id')::uuid;
