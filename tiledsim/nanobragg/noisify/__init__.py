"""noisify: noise and readout of a float image."""
