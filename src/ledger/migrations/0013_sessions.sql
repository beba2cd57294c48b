-- Who is logged in with a browser. Only the SHA-256 of a session's id is kept, like a key's. One that
-- has ended stays for a while, so that logins can be counted.
CREATE TABLE sessions (
    hash       bytea       PRIMARY KEY CHECK (octet_length(hash) = 32),
    account_id text        NOT NULL,
    role       text        NOT NULL CHECK (role IN ('user', 'support', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz
);
CREATE INDEX sessions_account_id_idx ON sessions (account_id, created_at);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintage_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO mintage_app;
    END IF;
END $$;
