"""A second opinion: the log folded once more, in Python, and compared with what is kept of it."""
