"""Images that are imagined, as lazy arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.stage import render_photons, start_tile
from tiledsim.experiment import Experiment
from tiledsim.kernels import choose_backend_name, get_backend
from tiledsim.scene import Scene
from tiledsim.scene.build import build_scene
from tiledsim.scheduler.store.layout import choose_layout
from tiledsim.tile import Tile


def _block(scene: Scene, backend: str, dtype: str, tile: Tile) -> NDArray[Any]:
    renderer = get_backend(backend, dtype)
    if scene.noise is None:
        return render_photons(renderer, scene, tile)[None, None]
    return start_tile(renderer, scene, tile).result().pixels[None, None]


def lazy(
    experiment: Experiment, *, tile: tuple[int, int] | None = None, backend: str = "auto",
    dtype: str = "float64",
) -> Any:  # fmt: skip
    """Return the images of an experiment as a lazy array of tiles, to compose with.

    Results of any size are written by :func:`tiledsim.scheduler.run`, not from this array.

    Parameters
    ----------
    experiment
        What to render.
    tile
        Slow and fast pixels of a block, rounded up to whole shards; chosen by default.
    backend, dtype
        The kernel and its arithmetic, as :func:`tiledsim.simulate` takes them.

    Returns
    -------
    dask.array.Array
        [shot, panel, slow, fast], photons in float64, or counts where the experiment has noise.

    Raises
    ------
    ExperimentError
        For an experiment that cannot be simulated.
    BackendError
        For a kernel that is not available.
    """
    import dask.array as da
    from dask.delayed import delayed

    name, _ = choose_backend_name(backend, dtype)
    scene = build_scene(experiment)
    layout = choose_layout(scene, tile)
    render = delayed(_block, pure=True)
    shared = delayed(scene, pure=True, traverse=False, name=f"scene-{scene.hash}")
    kept = np.float64 if scene.noise is None else np.dtype(scene.noise.dtype)
    blocks = []
    for index in range(layout.tiles):
        part = layout.tile_at(index)
        made = render(shared, name, dtype, part)
        blocks.append(da.from_delayed(made, shape=(1, 1, part.rows, part.cols), dtype=kept))
    grid = np.empty(len(blocks), dtype=object)
    grid[:] = blocks
    return da.block(grid.reshape(layout.grid).tolist())
