-- Who people are. Kept beside the log so that it can be changed and erased.
CREATE TABLE profiles (
    account_id text        PRIMARY KEY,
    email      text        NOT NULL CONSTRAINT profiles_email_key UNIQUE,
    name       text        NOT NULL DEFAULT '',
    role       text        NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'support', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Only the SHA-256 of a key is kept; a key is random and long, so no salt is needed.
CREATE TABLE api_keys (
    id         uuid        PRIMARY KEY,
    account_id text,
    role       text        NOT NULL CHECK (role IN ('user', 'support', 'admin')),
    name       text        NOT NULL,
    hash       bytea       NOT NULL CONSTRAINT api_keys_hash_key UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CHECK (role <> 'user' OR account_id IS NOT NULL)
);
CREATE INDEX api_keys_account_id_idx ON api_keys (account_id);

-- Each change of a prompt is a new version; a generation keeps the one that it was asked with.
CREATE TABLE prompts (
    id         text        PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    ordinal    bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    version    integer     NOT NULL,
    hidden_at  timestamptz
);
CREATE TABLE prompt_versions (
    prompt_id    text        NOT NULL REFERENCES prompts,
    version      integer     NOT NULL,
    title        text        NOT NULL,
    content      text        NOT NULL,
    description  text        NOT NULL,
    category     text        NOT NULL,
    members_only boolean     NOT NULL,
    token_cost   integer     NOT NULL CHECK (token_cost BETWEEN 0 AND 1000000),
    actor        text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (prompt_id, version)
);

CREATE TABLE favorites (
    account_id text        NOT NULL,
    image_id   uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, image_id)
);
