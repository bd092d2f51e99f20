"""Commands that show images of a run and hand them to other programs."""
