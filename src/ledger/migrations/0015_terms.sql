-- What commands are decided on outside of the log: whose a key is, and what a prompt costs. With every
-- change of those the terms get a new id, so that a command which was decided on earlier ones is
-- noticed by the transaction that would record it. What is new (a key, a prompt) changes nothing that
-- anybody may have relied on.
CREATE TABLE ledger_terms (
    sole boolean PRIMARY KEY DEFAULT true CHECK (sole),
    id   uuid    NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO ledger_terms DEFAULT VALUES;

CREATE FUNCTION ledger_change_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ledger_terms SET id = gen_random_uuid();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'ledger_terms has lost its row';
    END IF;
    RETURN NULL;
END;
$$;

-- Volatile, so that it sees what is committed now, and not when the statement began that waits for the
-- writers' lock first.
CREATE FUNCTION ledger_check_terms(terms uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF terms IS NOT NULL AND NOT EXISTS (SELECT FROM ledger_terms WHERE id = terms) THEN
        RAISE EXCEPTION 'the terms have changed' USING ERRCODE = 'MT001';
    END IF;
END;
$$;

CREATE TRIGGER api_keys_change_terms
    AFTER UPDATE OR DELETE OR TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_change_terms();
CREATE TRIGGER prompts_change_terms
    AFTER UPDATE OR DELETE OR TRUNCATE ON prompts
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_change_terms();
CREATE TRIGGER prompt_versions_change_terms
    AFTER UPDATE OR DELETE OR TRUNCATE ON prompt_versions
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_change_terms();

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintage_app') THEN
        GRANT SELECT, UPDATE ON ledger_terms TO mintage_app;
    END IF;
END $$;
