-- How far the table that will replace a view has been filled; moves with its rows. No row, no rebuild.
CREATE TABLE view_rebuilds (
    view       text        PRIMARY KEY REFERENCES view_positions,
    position   bigint      NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintage_app') THEN
        GRANT SELECT ON view_rebuilds TO mintage_app;
    END IF;
END $$;
