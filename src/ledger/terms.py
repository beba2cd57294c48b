"""What commands are decided on outside of the log: whose a key is, and what a prompt costs.

Any change of those gives the terms a new id in the same transaction (migration 15). So whoever
knows them under that id need not look again for each command: the transaction that records it does.
"""

CURRENT = "SELECT id FROM ledger_terms"
CHECK = "ledger_check_terms({})"
"""Fails with `CHANGED` where those are not the terms of now; NULL is none in particular."""

CHANGED = "MT001"
"""SQLSTATE."""
