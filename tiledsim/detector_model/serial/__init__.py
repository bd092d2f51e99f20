"""The noise of the C programs, pixel after pixel, to the last bit."""
