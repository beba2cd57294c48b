-- A command that is refused writes no row, so no constraint tells that the log has it already: a batch which
-- was decided without reading has its refused commands' ids looked up by the transaction that writes the rest.
--
-- Volatile, so that it sees what is committed now, and not when the statement began that waits for the
-- writers' lock first. Strict: nothing is done where nothing was refused.
CREATE FUNCTION ledger_check_absent(ids uuid[]) RETURNS void LANGUAGE plpgsql STRICT AS $$
BEGIN
    IF EXISTS (SELECT FROM ledger_events WHERE key_id = ANY (ids))
        OR EXISTS (SELECT FROM ledger_events WHERE fact_id = ANY (ids))
    THEN
        RAISE EXCEPTION 'what was refused is in the log' USING ERRCODE = 'MT002';
    END IF;
END;
$$;
