"""The sections of an experiment, a file each."""
