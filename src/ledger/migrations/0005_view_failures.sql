-- Views that have stopped, and why, for every process to see. A row goes when its view moves again;
-- until retry_at nobody tries.
CREATE TABLE view_failures (
    view      text        PRIMARY KEY REFERENCES view_positions,
    position  bigint      NOT NULL,
    problem   text        NOT NULL,
    attempts  integer     NOT NULL DEFAULT 1,
    failed_at timestamptz NOT NULL,
    retry_at  timestamptz NOT NULL
);
