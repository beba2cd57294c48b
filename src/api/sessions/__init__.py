"""Logging in with a browser: sessions on the server, their cookie, and what protects it."""
