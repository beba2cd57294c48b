"""Benchmarks: ratios between things measured in turn, in one run."""
