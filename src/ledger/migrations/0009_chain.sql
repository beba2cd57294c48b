-- Which log this is: a seal of one is no seal of another.
CREATE TABLE ledger_identity (
    sole    boolean     PRIMARY KEY DEFAULT true CHECK (sole),
    id      uuid        NOT NULL DEFAULT gen_random_uuid(),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO ledger_identity DEFAULT VALUES;

-- The hash chain over the log, in blocks, made behind the writers. `links` holds the running hash
-- after each position of the block, 32 bytes each; `hash` is the last of them.
-- That blocks follow each other, without a gap or a fork, is the table's own business.
CREATE TABLE ledger_chain (
    block             bigint      PRIMARY KEY,
    first_position    bigint      NOT NULL,
    last_position     bigint      NOT NULL CONSTRAINT ledger_chain_last_position_key UNIQUE,
    previous_hash     bytea       NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash              bytea       NOT NULL,
    links             bytea       NOT NULL,
    made_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    previous_block    bigint      GENERATED ALWAYS AS (nullif(block, 1) - 1) STORED,
    previous_position bigint      GENERATED ALWAYS AS (nullif(first_position, 1) - 1) STORED,
    CONSTRAINT ledger_chain_begins
        CHECK (block >= 1 AND first_position >= 1 AND (block = 1) = (first_position = 1)),
    CONSTRAINT ledger_chain_bounded
        CHECK (last_position BETWEEN first_position AND first_position + 4095),
    CONSTRAINT ledger_chain_linked
        CHECK (octet_length(links) = 32 * (last_position - first_position + 1)
               AND hash = substr(links, octet_length(links) - 31)),
    CONSTRAINT ledger_chain_end_key UNIQUE (block, last_position, hash),
    CONSTRAINT ledger_chain_follows FOREIGN KEY (previous_block, previous_position, previous_hash)
        REFERENCES ledger_chain (block, last_position, hash)
);
ALTER TABLE ledger_chain ALTER COLUMN links SET STORAGE EXTERNAL;  -- hashes do not compress

CREATE TRIGGER ledger_identity_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_identity
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_chain_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_chain
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Why the chain stands still, for every process to see; no row when all is well.
CREATE TABLE chain_failure (
    sole      boolean     PRIMARY KEY DEFAULT true CHECK (sole),
    position  bigint      NOT NULL,
    problem   text        NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintage_app') THEN
        GRANT SELECT ON ledger_identity TO mintage_app;
        GRANT SELECT, INSERT ON ledger_chain TO mintage_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON chain_failure TO mintage_app;
    END IF;
END $$;
