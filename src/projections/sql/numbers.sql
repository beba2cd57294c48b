-- What each account's facts of the range leave it with: its last fact carries its numbers.
-- One pass and no sort: the greatest array is that of the last position.
account AS MATERIALIZED (
    SELECT account_id, max(ARRAY[position, version, settled, held]) AS last,
           max(ARRAY[position, (data ->> 'is_member')::boolean::integer])
               FILTER (WHERE topic IN ('account_opened:1', 'membership_changed:1')) AS told,
           min(position) FILTER (WHERE topic <> ALL (%(topics)s)) AS unknown
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s
    GROUP BY account_id
), unknown AS (
    SELECT min(unknown) AS position FROM account
)
