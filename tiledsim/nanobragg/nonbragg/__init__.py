"""nonBragg: the pattern of an amorphous sample."""
