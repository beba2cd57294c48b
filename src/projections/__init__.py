"""Views folded from the log, and the projector that keeps them level."""
