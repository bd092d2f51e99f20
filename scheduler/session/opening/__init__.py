"""A store before its run goes on: made, checked, put right, or refused."""
