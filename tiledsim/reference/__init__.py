"""The model in NumPy, step by step, with every intermediate; and the trace of a pixel."""
