"""Render an experiment in this process, into memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.stage import render_photons, start_tile
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.scene import Scene
from tiledsim.scene.build import build_scene
from tiledsim.tile import Tile


def simulate(
    experiment: Experiment | Scene, backend: str = "auto", dtype: str = "float64", *,
    shots: Sequence[int] | None = None,
) -> NDArray[Any]:  # fmt: skip
    """Render images in this process, into memory.

    Parameters
    ----------
    experiment
        What to render, or the scene that ``build_scene`` made of it, which saves the time to make
        it again.
    backend
        The kernel: ``cpu``, ``cuda``, or ``auto``, which takes CUDA where it can be used.
    dtype
        Its arithmetic: ``float64``, or ``mixed`` with CUDA.
    shots
        Numbers of the shots, in any order; all by default.  Each has the bytes that it has in a
        run of the whole.

    Returns
    -------
    numpy.ndarray
        [shot, panel, slow, fast]: photons per pixel in float64; with a noise section counts, in
        the type of integers that it stores.

    Raises
    ------
    ExperimentError
        For an experiment that cannot be simulated, or a shot that it does not have.
    BackendError
        For a kernel that is not available.

    Notes
    -----
    Nothing is written and no worker is started; for detectors that do not fit into memory see
    :func:`tiledsim.scheduler.run`.
    """
    scene = experiment if isinstance(experiment, Scene) else build_scene(experiment)
    renderer = get_backend(backend, dtype)
    count, panels, slow, fast = scene.shape
    chosen = range(count) if shots is None else shots
    for shot in chosen:
        if not 0 <= shot < count:
            raise ExperimentError(f"shot {shot}: there are {count}, numbered from 0")
    kept = np.float64 if scene.noise is None else np.dtype(scene.noise.dtype)
    images: NDArray[Any] = np.empty((len(chosen), panels, slow, fast), dtype=kept)
    for place, shot in enumerate(chosen):
        for panel in range(panels):
            tile = Tile(int(shot), panel, 0, slow, 0, fast)
            if scene.noise is None:
                images[place, panel] = render_photons(renderer, scene, tile)
            else:
                images[place, panel] = start_tile(renderer, scene, tile).result().pixels
    return images
