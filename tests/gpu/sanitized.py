"""Render golden cases through the kernels' text, built with sanitizers.  Run as a program.

The sanitizers' runtime has to be in the process before everything else; test_sanitizers.py sees to
that.  Prints the name of every case that agrees with the CPU kernel.  With --short the kernels get
less memory than they need.
"""

import sys

import numpy as np

from tests.gpu.shim_device import SANITIZED, ShimBuffer, ShimDevice
from tests.parity.golden import CASES
from tiledsim import experiment_from_nanobragg
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.kernels.cuda.device import Buffer
from tiledsim.scene.build import build_scene
from tiledsim.tile import Tile

ROWS, COLS = 27, 39
IMAGE_BYTES = 8 * ROWS * COLS


class ShortDevice(ShimDevice):
    """Gives the image's band half of what is asked for, and says that it did not."""

    def allocate(self, nbytes: int) -> Buffer:
        buffer = ShimBuffer(nbytes // 2 if nbytes == IMAGE_BYTES else nbytes)
        buffer.nbytes = nbytes
        return buffer


def main(names: list[str]) -> None:
    device = ShimDevice
    if names[0] == "--short":
        device, names = ShortDevice, names[1:]
    cases = {case.name: case for case in CASES}
    for name in names:
        case = cases[name]
        scene = build_scene(experiment_from_nanobragg(case.argv, base=case.inputs))
        _, _, slow, fast = scene.shape
        # Not on the edges of patches, so that every lane meets the tile's edge somewhere.
        top, left = slow // 2 - 13, fast // 2 - 21
        tile = Tile(0, 0, top, top + ROWS, left, left + COLS)
        expected = get_backend("cpu").render(scene, tile)
        for dtype in ("float64", "mixed"):
            backend = CudaBackend(dtype, device(flags=SANITIZED), anchored=True)
            rendered = backend.start(scene, tile).result()
            close = 1e-11 if dtype == "float64" else 1e-5
            error = np.abs(backend.render(scene, tile) - expected).max()
            assert error <= close * expected.max(), (name, dtype, error)
            assert np.isfinite(rendered.rows["spread"]).all()
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
