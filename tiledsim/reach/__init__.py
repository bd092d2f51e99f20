"""Which reflections reach which pixels, and what may be left out: nothing here renders."""
