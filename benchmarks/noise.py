"""The noise stage: Poisson deviates at many means, whole images, the point spread.

    python benchmarks/noise.py

Processor seconds of one thread, the least of three.  Of each mean, 1e7 draws: how many standard
deviations their mean and variance are off.
"""

import math
import time
from collections.abc import Callable

import numpy as np

from tiledsim.detector_model.counts import count_photons
from tiledsim.detector_model.model import CountModel
from tiledsim.detector_model.point_spread import as_products, fiber_kernel, gaussian_kernel
from tiledsim.detector_model.rows import detect_rows
from tiledsim.tile import Tile

MEANS = (1e-6, 1e-3, 0.1, 1.0, 5.0, 9.999, 10.0, 11.0, 15.0, 30.0, 100.0, 1e4, 1e6, 1e9)
MODEL = CountModel(
    seed=7, poisson=True, flicker=0.0, calibration=0.0, calibration_seed=1, gain=1.0, adc=0.0,
    readout=0.0, top=65535, dtype="uint16", gap=65535, dead=0, reflected=False,
)  # fmt: skip


def least(work: Callable[[], object]) -> float:
    """Return the processor seconds of the quickest of three."""
    times = []
    for _ in range(3):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def main() -> None:
    """Print a line for each case."""
    side = 1000
    out = np.empty((side, side))
    for shot, mean in enumerate(MEANS):
        mean = float(np.float32(mean))
        photons = np.full((side, side), mean, dtype=np.float32)
        total = square = 0.0
        for part in range(10):
            detect_rows(photons, part * side**2, side, 4, shot, True, 1.0, 0.0, 0, out)
            total += float((out - mean).sum())
            square += float(((out - mean) ** 2).sum())
        n = 10 * side**2
        seconds = least(
            lambda photons=photons, shot=shot: detect_rows(
                photons, 0, side, 4, shot, True, 1.0, 0.0, 0, out
            )
        )
        off = total / n / math.sqrt(mean / n)
        spread = (square / n - mean) / math.sqrt((mean + 2.0 * mean**2) / n)
        print(f"mean {mean:8.3g}: {seconds / side**2 * 1e9:5.1f} ns, mean {off:+.2f} σ, "
              f"variance {spread:+.2f} σ")  # fmt: skip
    edge = 4096
    y, x = np.mgrid[:edge, :edge] - edge / 2
    r = np.hypot(x, y) / edge
    image = (0.2 + 12.0 * np.exp(-(((r - 0.25) / 0.1) ** 2))).astype(np.float32)
    tile, shape = Tile(0, 0, 0, edge, 0, edge), (1, 1, edge, edge)
    count_photons(MODEL, image[:200, :200], Tile(0, 0, 0, 200, 0, 200), (1, 1, 200, 200))
    seconds = least(lambda: count_photons(MODEL, image, tile, shape))
    print(f"4096² of a water ring: {seconds:.2f} s, {seconds / edge**2 * 1e9:.1f} ns a pixel")
    for name, kernel in (("gaussian", gaussian_kernel), ("fiber", fiber_kernel)):
        products, plain = as_products(kernel(1.5, 20)), MODEL._replace(poisson=False)
        without = least(lambda plain=plain: count_photons(plain, image, tile, shape))
        seconds = least(
            lambda plain=plain, products=products: count_photons(
                plain, image, tile, shape, spread=products
            )
        )
        print(f"4096², {name}, radius 20, {len(products)} terms: {seconds - without:.2f} s")


if __name__ == "__main__":
    main()
