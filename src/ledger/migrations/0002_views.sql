-- What the views are folded from: every fact in the form of its latest version.
-- A later version of a fact lifts the older ones here and in the codec alike.
CREATE VIEW ledger_facts AS
SELECT position, account_id, version, split_part(topic, ':', 1) AS type, topic, at, actor, fact_id,
       settled, held, data
FROM ledger_events;

-- How far each view has followed the log. Moved by compare-and-set, with the rows.
CREATE TABLE view_positions (
    view     text   PRIMARY KEY,
    position bigint NOT NULL
);
INSERT INTO view_positions VALUES ('balances', 0), ('transactions', 0), ('generations', 0), ('images', 0);

CREATE TABLE balances (
    account_id text    PRIMARY KEY,
    is_member  boolean NOT NULL,
    settled    bigint  NOT NULL,
    held       bigint  NOT NULL,
    version    bigint  NOT NULL,
    position   bigint  NOT NULL
);

CREATE TABLE transactions (
    position      bigint      PRIMARY KEY,
    id            uuid        NOT NULL,
    account_id    text        NOT NULL,
    type          text        NOT NULL,
    amount        bigint      NOT NULL,
    balance       bigint      NOT NULL,
    reason        text        NOT NULL,
    title         text,
    generation_id uuid,
    created_at    timestamptz NOT NULL
);
CREATE INDEX transactions_account_id_position_idx ON transactions (account_id, position);

CREATE TABLE generations (
    id             uuid        PRIMARY KEY,
    account_id     text        NOT NULL,
    position       bigint      NOT NULL,
    prompt_id      text        NOT NULL,
    prompt_version integer     NOT NULL,
    title          text        NOT NULL,
    count          integer     NOT NULL,
    aspect_ratio   text        NOT NULL,
    cost           bigint      NOT NULL,
    reference      jsonb,
    created_at     timestamptz NOT NULL,
    outcome        text,
    reason         text,
    retryable      boolean,
    ended_at       timestamptz,
    end_position   bigint
);
CREATE INDEX generations_account_id_position_idx ON generations (account_id, position);
CREATE INDEX generations_open_idx ON generations (position) WHERE outcome IS NULL;

CREATE TABLE images (
    id            uuid        PRIMARY KEY,
    generation_id uuid        NOT NULL,
    account_id    text        NOT NULL,
    position      bigint      NOT NULL,
    ordinal       integer     NOT NULL,
    prompt_id     text        NOT NULL,
    title         text        NOT NULL,
    key           text        NOT NULL,
    thumbnail_key text        NOT NULL,
    sha256        text        NOT NULL,
    mime_type     text        NOT NULL,
    width         integer     NOT NULL,
    height        integer     NOT NULL,
    bytes         bigint      NOT NULL,
    model         text        NOT NULL,
    created_at    timestamptz NOT NULL
);
CREATE INDEX images_account_id_position_idx ON images (account_id, position, ordinal);
CREATE INDEX images_generation_id_idx ON images (generation_id);
