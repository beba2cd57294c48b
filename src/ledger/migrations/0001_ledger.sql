-- The log. One row a fact; position is the one order, version the account's own.
-- Written only under the writers' advisory lock; never changed, deleted or truncated.
CREATE TABLE ledger_events (
    position   bigint      NOT NULL,
    account_id text        NOT NULL CHECK (length(account_id) BETWEEN 1 AND 64),
    version    bigint      NOT NULL CHECK (version > 0),
    topic      text        NOT NULL,
    at         timestamptz NOT NULL,
    actor      text        NOT NULL,
    fact_id    uuid        NOT NULL,
    key_id     uuid,
    input_hash uuid,
    settled    bigint      NOT NULL,
    held       bigint      NOT NULL,
    data       jsonb       NOT NULL,
    CONSTRAINT ledger_events_pkey PRIMARY KEY (account_id, version),
    CONSTRAINT ledger_events_position_key UNIQUE (position),
    CONSTRAINT ledger_events_fact_id_key UNIQUE (fact_id),
    CONSTRAINT ledger_events_no_overspend CHECK (held >= 0 AND settled >= held)
) WITH (
    -- Append-only: nothing to vacuum but the visibility map; analyze early and often.
    autovacuum_vacuum_insert_scale_factor = 0.2,
    autovacuum_analyze_scale_factor = 0.05
);

CREATE UNIQUE INDEX ledger_events_key_id_key ON ledger_events (key_id) WHERE key_id IS NOT NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END;
$$;

CREATE TRIGGER ledger_events_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What deciding starts from instead of an account's first event; always recomputable.
CREATE TABLE account_snapshots (
    account_id text    PRIMARY KEY,
    version    bigint  NOT NULL,
    shape      integer NOT NULL,
    state      jsonb   NOT NULL
);

-- Free text that a fact refers to by id, kept out of the log so that it can be erased.
CREATE TABLE notes (
    id         uuid        PRIMARY KEY,
    account_id text        NOT NULL,
    actor      text        NOT NULL,
    text       text        NOT NULL CHECK (length(text) BETWEEN 1 AND 2000),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notes_account_id_idx ON notes (account_id);
