"""The Numba kernel."""
