-- What the application's role may do where it is not the owner: the log can be read and appended to.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintage_app') THEN
        GRANT SELECT, INSERT ON ledger_events TO mintage_app;
        GRANT SELECT ON ledger_facts TO mintage_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON
            account_snapshots, notes,
            view_positions, view_failures, balances, transactions, generations, images,
            generation_leases,
            profiles, api_keys, prompts, prompt_versions, favorites
        TO mintage_app;
    END IF;
END $$;
