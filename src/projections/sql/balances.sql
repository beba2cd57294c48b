-- Membership is as it was last told; where the range does not tell, as it is known.
balances AS (
    INSERT INTO {balances} (account_id, is_member, settled, held, version, position)
    SELECT account_id,
           coalesce(told[2] = 1,
                    (SELECT known.is_member FROM {balances} AS known
                     WHERE known.account_id = account.account_id)),
           last[3], last[4], last[2], last[1]
    FROM account
    ON CONFLICT (account_id) DO UPDATE
        SET is_member = EXCLUDED.is_member, settled = EXCLUDED.settled, held = EXCLUDED.held,
            version = EXCLUDED.version, position = EXCLUDED.position
)
