"""The ledger of every token: facts, decisions and the append-only log."""
