"""SMV images and their headers."""
