"""Asking for images, following a generation to its end, cancelling it."""
