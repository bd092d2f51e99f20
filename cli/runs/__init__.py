"""Commands that make a run, follow it and check it."""
