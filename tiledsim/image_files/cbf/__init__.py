"""CBF images, with their miniCBF and imgCIF headers."""
