"""The crystal of a scene: lattice, rotations, blocks."""
