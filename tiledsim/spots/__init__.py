"""Which reflections reach which pixels."""
