"""What can be drawn: listed for everyone, kept by admins."""
