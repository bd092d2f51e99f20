"""Files of DIALS: experiment lists and reflection tables."""
