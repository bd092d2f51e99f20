"""The detector of a scene: geometry, masks, noise tables."""
