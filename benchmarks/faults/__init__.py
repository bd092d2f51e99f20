"""Runs that are disturbed on purpose, for benchmarks/soak.py."""
