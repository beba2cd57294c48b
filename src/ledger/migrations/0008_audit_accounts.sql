-- Accounts are found by a part of their id, e-mail or name; a line end parts them.
ALTER TABLE profiles ADD COLUMN searchable text
    GENERATED ALWAYS AS (lower(account_id || chr(10) || email || chr(10) || name)) STORED;
CREATE INDEX profiles_created_at_idx ON profiles (created_at, account_id);

-- Where pg_trgm cannot be had, a search reads every profile: slower, and no less right.
DO $$ BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX profiles_searchable_idx ON profiles USING gin (searchable gin_trgm_ops);
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR undefined_object OR feature_not_supported THEN
        RAISE NOTICE 'no pg_trgm here: accounts are found without an index';
END $$;
