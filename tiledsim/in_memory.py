"""Render an experiment in this process, into memory."""

import numpy as np
from numpy.typing import NDArray

from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.scene.build import build_scene
from tiledsim.tile import Tile


def simulate(
    experiment: Experiment, backend: str = "auto", dtype: str = "float64"
) -> NDArray[np.float64]:
    """Render all images [shot, panel, slow, fast] in photons per pixel.

    Nothing is written and no worker is started; for detectors that do not fit into memory see
    :func:`tiledsim.scheduler.run`.  Raises ExperimentError for an experiment that cannot be
    simulated and BackendError for a kernel that is not available.
    """
    scene = build_scene(experiment)
    renderer = get_backend(backend, dtype)
    shots, panels, slow, fast = scene.shape
    images = np.empty(scene.shape)
    for shot in range(shots):
        for panel in range(panels):
            images[shot, panel] = renderer.render(scene, Tile(shot, panel, 0, slow, 0, fast))
    return images
