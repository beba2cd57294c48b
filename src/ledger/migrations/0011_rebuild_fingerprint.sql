-- Of the fold that fills the table and of the table that it was made like; a rebuild begun before has another one.
ALTER TABLE view_rebuilds ADD COLUMN fingerprint text NOT NULL DEFAULT '';
