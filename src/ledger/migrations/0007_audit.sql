-- Who of us has looked at whose data. Append-only like the log; no view, so that no rebuild touches it.
CREATE TABLE audit_reads (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    reader     text        NOT NULL,
    role       text        NOT NULL CHECK (role IN ('support', 'admin')),
    what       text        NOT NULL CHECK (what ~ '^[a-z_]{1,40}$'),
    account_id text,
    query      jsonb       NOT NULL
);
CREATE INDEX audit_reads_reader_idx ON audit_reads (reader, id);
CREATE INDEX audit_reads_account_id_idx ON audit_reads (account_id, id);
CREATE INDEX audit_reads_account_id_reader_idx ON audit_reads (account_id, reader, id);

CREATE FUNCTION refuse_change_of_reads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the record of reads is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END;
$$;

CREATE TRIGGER audit_reads_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_reads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_reads();

-- Place and time are the database's to give: a read cannot be dated back.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintage_app') THEN
        GRANT SELECT, INSERT (reader, role, what, account_id, query) ON audit_reads TO mintage_app;
    END IF;
END $$;

-- What support asks the log for by type or by actor. The two facts of every generation that goes
-- well are left out, so that their appends pay nothing; they are found by windows of positions.
CREATE INDEX ledger_events_type_idx ON ledger_events (split_part(topic, ':', 1), position)
    WHERE split_part(topic, ':', 1) NOT IN ('generation_requested', 'tokens_consumed');
CREATE INDEX ledger_events_account_id_type_idx
    ON ledger_events (account_id, split_part(topic, ':', 1), version)
    WHERE split_part(topic, ':', 1) NOT IN ('generation_requested', 'tokens_consumed');
CREATE INDEX ledger_events_actor_type_idx
    ON ledger_events (actor, split_part(topic, ':', 1), position)
    WHERE split_part(topic, ':', 1) NOT IN ('generation_requested', 'tokens_consumed');
-- How common each type is, or the planner would take every one for rare.
CREATE STATISTICS ledger_events_type_statistics ON (split_part(topic, ':', 1)) FROM ledger_events;
