"""What the log itself says, filtered and in pages, for those who have to explain it."""
