"""From a store to files of other programs."""
