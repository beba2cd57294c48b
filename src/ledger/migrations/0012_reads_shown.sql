-- Whose data an answer had that was asked for without an account. NULL: that is not known, and may be anybody's.
ALTER TABLE audit_reads ADD COLUMN shown text[];
CREATE INDEX audit_reads_shown_idx ON audit_reads USING gin (shown);
CREATE INDEX audit_reads_anybody_idx ON audit_reads (id) WHERE account_id IS NULL AND shown IS NULL;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintage_app') THEN
        GRANT INSERT (shown) ON audit_reads TO mintage_app;
    END IF;
END $$;
