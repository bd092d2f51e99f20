"""The command line of nanoBragg as an experiment: flags, order rules, headers."""
