"""The log for support staff: what happened, and who of them has looked."""
