"""Which tiles are done: records, their files and tables."""
