"""Render an experiment in this process, into memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.stage import render_photons, start_tile
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.scene.build import build_scene
from tiledsim.tile import Tile


def simulate(experiment: Experiment, backend: str = "auto", dtype: str = "float64") -> NDArray[Any]:
    """Render all images [shot, panel, slow, fast] in photons per pixel, float64.

    With a noise section they are counts, in the type of integers that it stores.

    Nothing is written and no worker is started; for detectors that do not fit into memory see
    :func:`tiledsim.scheduler.run`.  Raises ExperimentError for an experiment that cannot be
    simulated and BackendError for a kernel that is not available.
    """
    scene = build_scene(experiment)
    renderer = get_backend(backend, dtype)
    shots, panels, slow, fast = scene.shape
    images = np.empty(scene.shape, dtype=np.float64 if scene.noise is None else scene.noise.dtype)
    for shot in range(shots):
        for panel in range(panels):
            tile = Tile(shot, panel, 0, slow, 0, fast)
            if scene.noise is None:
                images[shot, panel] = render_photons(renderer, scene, tile)
            else:
                images[shot, panel] = start_tile(renderer, scene, tile).result().pixels
    return images
