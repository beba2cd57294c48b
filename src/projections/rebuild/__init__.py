"""Views made anew from the log beside the live ones, then put in their place."""

from projections.rebuild.run import Progress, Rebuild, Rebuilt

__all__ = ["Progress", "Rebuild", "Rebuilt"]
