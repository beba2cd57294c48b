"""The edge: HTTP, CLI and the composition root."""
