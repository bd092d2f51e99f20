"""One session of a run: plan, checks, the driver and what its tasks do."""
