"""Whole requests against servers on loopback, ours beside others behind the same server."""
