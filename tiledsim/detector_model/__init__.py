"""From photons to counts: noise, gain, readout, point spread."""
