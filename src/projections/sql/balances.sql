-- The last fact of each account carries its numbers; membership is as it was last told.
-- One pass and no sort: the greatest array is that of the last position.
WITH account AS (
    SELECT account_id, max(ARRAY[position, version, settled, held]) AS last,
           max(ARRAY[position, (data ->> 'is_member')::boolean::integer])
               FILTER (WHERE topic IN ('account_opened:1', 'membership_changed:1')) AS told
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s
    GROUP BY account_id
)
INSERT INTO {table} (account_id, is_member, settled, held, version, position)
SELECT account_id,
       coalesce(told[2] = 1,
                (SELECT known.is_member FROM {table} AS known
                 WHERE known.account_id = account.account_id)),
       last[3], last[4], last[2], last[1]
FROM account
ON CONFLICT (account_id) DO UPDATE
    SET is_member = EXCLUDED.is_member, settled = EXCLUDED.settled, held = EXCLUDED.held,
        version = EXCLUDED.version, position = EXCLUDED.position;
