"""What support and operators ask the log."""
