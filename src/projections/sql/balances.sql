-- The last fact of each account carries its numbers; membership is as it was last told.
WITH facts AS (
    SELECT account_id, version, position, settled, held,
           CASE WHEN type IN ('account_opened', 'membership_changed')
                THEN (data ->> 'is_member')::boolean END AS is_member
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s
), last AS (
    SELECT DISTINCT ON (account_id) account_id, version, position, settled, held
    FROM facts
    ORDER BY account_id, version DESC
), told AS (
    SELECT DISTINCT ON (account_id) account_id, is_member
    FROM facts
    WHERE is_member IS NOT NULL
    ORDER BY account_id, version DESC
)
INSERT INTO {table} (account_id, is_member, settled, held, version, position)
SELECT last.account_id,
       coalesce(told.is_member,
                (SELECT known.is_member FROM {table} AS known
                 WHERE known.account_id = last.account_id)),
       last.settled, last.held, last.version, last.position
FROM last LEFT JOIN told USING (account_id)
ON CONFLICT (account_id) DO UPDATE
    SET is_member = EXCLUDED.is_member, settled = EXCLUDED.settled, held = EXCLUDED.held,
        version = EXCLUDED.version, position = EXCLUDED.position;
