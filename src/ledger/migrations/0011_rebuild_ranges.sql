-- A rebuild fills ranges in any order: which ones are in the table moves with its rows. The
-- fingerprint is of the fold that fills it and of the table that it was made like.
-- One that was under way begins again.
DELETE FROM view_rebuilds;
ALTER TABLE view_rebuilds
    DROP COLUMN position,
    ADD COLUMN filled int8multirange NOT NULL DEFAULT '{}',
    ADD COLUMN fingerprint text NOT NULL;

-- A position is one account's: one index is key and order.
ALTER TABLE transactions DROP CONSTRAINT transactions_pkey;
DROP INDEX transactions_account_id_position_idx;
ALTER TABLE transactions ADD PRIMARY KEY (account_id, position);

-- A generation's images are found by its account and the position of its charge.
DROP INDEX images_generation_id_idx;
