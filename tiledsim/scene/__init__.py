"""From an experiment to the scene that kernels read: geometry, lattice, sources, sweeps."""

from tiledsim.scene.scene import Correction as Correction
from tiledsim.scene.scene import Scene as Scene

__all__ = ["Correction", "Scene"]
