"""Accounts, their tokens and their keys: the caller's own and, for admins, all."""
