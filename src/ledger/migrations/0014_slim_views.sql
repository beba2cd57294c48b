-- A view keeps what its rows are found by, and the numbers; what is only shown stands in the log, at
-- the position that the row names. A rebuild under way begins again.
DELETE FROM view_rebuilds;
ALTER TABLE transactions
    DROP COLUMN id, DROP COLUMN reason, DROP COLUMN title, DROP COLUMN generation_id,
    DROP COLUMN created_at;
ALTER TABLE generations
    DROP COLUMN prompt_id, DROP COLUMN prompt_version, DROP COLUMN title, DROP COLUMN count,
    DROP COLUMN aspect_ratio, DROP COLUMN cost, DROP COLUMN reference, DROP COLUMN created_at,
    DROP COLUMN reason, DROP COLUMN retryable, DROP COLUMN ended_at;
ALTER TABLE images
    DROP COLUMN generation_id, DROP COLUMN prompt_id, DROP COLUMN key, DROP COLUMN thumbnail_key,
    DROP COLUMN sha256, DROP COLUMN mime_type, DROP COLUMN width, DROP COLUMN height,
    DROP COLUMN bytes, DROP COLUMN model, DROP COLUMN created_at;
-- The one view whose rows change: with room beside them an update leaves the index alone.
ALTER TABLE balances SET (fillfactor = 70);
