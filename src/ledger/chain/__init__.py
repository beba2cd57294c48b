"""The hash chain over the log: made behind the writers, checked, and sealed."""
