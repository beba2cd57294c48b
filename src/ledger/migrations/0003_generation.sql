-- Which worker holds which open generation. Not derived, so no rebuild touches it.
-- attempt is the fencing token: it grows with each claim. lease_until is by this clock.
CREATE TABLE generation_leases (
    generation_id uuid        PRIMARY KEY,
    account_id    text        NOT NULL,
    attempt       integer     NOT NULL,
    worker        text        NOT NULL,
    lease_until   timestamptz NOT NULL,
    step          text        NOT NULL DEFAULT 'validating'
                  CHECK (step IN ('validating', 'generating', 'storing')),
    -- What the attempts so far have stored and how their calls went, for the one that takes over.
    stored        jsonb       NOT NULL DEFAULT '[]',
    calls         jsonb       NOT NULL DEFAULT '[]'
);
CREATE INDEX generation_leases_lease_until_idx ON generation_leases (lease_until);
