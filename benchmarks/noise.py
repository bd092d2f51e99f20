"""The noise stage: Poisson deviates at many means, whole images, the point spread.

    python benchmarks/noise.py

Processor seconds of one thread, the least of three.  Of each mean, 1e7 draws: how many standard
deviations their mean and variance are off, and χ² over a hundred classes of equal probability
(fewer where counts are few) with the probability of a χ² that large.
"""

import math
import time
from collections.abc import Callable

import numpy as np
from scipy.stats import chi2

from tiledsim.detector_model.counts import count_photons
from tiledsim.detector_model.model import CountModel
from tiledsim.detector_model.point_spread import fiber_kernel, gaussian_kernel
from tiledsim.detector_model.rows import detect_rows
from tiledsim.detector_model.spreading import whole_weights
from tiledsim.reference.deviates import ln_probability
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


class Classes:
    """Counts in classes of about equal probability, against Poisson's own probabilities."""

    def __init__(self, mean: float, classes: int = 100) -> None:
        spread = math.sqrt(mean)
        low, high = max(0, int(mean - 9 * spread - 20)), int(mean + 9 * spread + 40)
        k = np.arange(low, high + 1, dtype=float)
        below = np.cumsum(np.exp(ln_probability(k, np.full(k.shape, mean))))
        cut = np.unique(np.searchsorted(below, np.arange(1, classes) / classes))
        self.edges = np.concatenate([[low], low + 1 + cut[cut < len(k) - 1], [high + 1]]) - 0.5
        ends = np.concatenate([[0.0], below[(self.edges[1:] - low).astype(int)]])
        self.share = np.diff(ends)
        self.found = np.zeros(len(self.share))

    def add(self, counts: np.ndarray) -> None:
        """Take some more counts."""
        self.found += np.histogram(counts, bins=self.edges)[0]

    def text(self) -> str:
        """Return χ² and its probability; classes that hardly hold anything join their neighbour."""
        total = self.found.sum()
        expected, found, waiting = [], [], np.zeros(2)
        for share, number in zip(self.share, self.found, strict=True):
            waiting += share * total, number
            if waiting[0] >= 5.0:
                expected.append(waiting[0])
                found.append(waiting[1])
                waiting = np.zeros(2)
        if len(expected) < 2:
            return "one class"
        expected[-1] += waiting[0]
        found[-1] += waiting[1]
        value = float(((np.array(found) - expected) ** 2 / np.array(expected)).sum())
        degrees = len(expected) - 1
        return f"χ² {value:6.1f} of {degrees:2d} degrees (p {chi2.sf(value, degrees):.3f})"


def main() -> None:
    """Print a line for each case."""
    side = 1000
    out = np.empty((side, side))
    for shot, mean in enumerate(MEANS):
        mean = float(np.float32(mean))
        photons = np.full((side, side), mean, dtype=np.float32)
        total = square = 0.0
        classes = Classes(mean)
        for part in range(10):
            detect_rows(photons, part * side**2, side, 4, shot, True, 1.0, 0.0, 0, out)
            total += float((out - mean).sum())
            square += float(((out - mean) ** 2).sum())
            classes.add(out)
        n = 10 * side**2
        seconds = least(
            lambda photons=photons, shot=shot: detect_rows(
                photons, 0, side, 4, shot, True, 1.0, 0.0, 0, out
            )
        )
        off = total / n / math.sqrt(mean / n)
        spread = (square / n - mean) / math.sqrt((mean + 2.0 * mean**2) / n)
        print(f"mean {mean:8.3g}: {seconds / side**2 * 1e9:5.1f} ns, mean {off:+.2f} σ, "
              f"variance {spread:+.2f} σ, {classes.text()}")  # fmt: skip
    edge = 4096
    y, x = np.mgrid[:edge, :edge] - edge / 2
    r = np.hypot(x, y) / edge
    image = (0.2 + 12.0 * np.exp(-(((r - 0.25) / 0.1) ** 2))).astype(np.float32)
    tile, shape = Tile(0, 0, 0, edge, 0, edge), (1, 1, edge, edge)
    count_photons(MODEL, image[:200, :200], Tile(0, 0, 0, 200, 0, 200), (1, 1, 200, 200))
    seconds = least(lambda: count_photons(MODEL, image, tile, shape))
    print(f"4096² of a water ring: {seconds:.2f} s, {seconds / edge**2 * 1e9:.1f} ns a pixel")
    uneven = np.random.default_rng(1).random((41, 41))
    for name, kernel in (("gaussian", gaussian_kernel(1.5, 20)), ("fiber", fiber_kernel(1.5, 20)),
                         ("41 x 41 numbers", uneven)):  # fmt: skip
        weights = whole_weights(kernel)
        without = least(lambda: count_photons(MODEL, image, tile, shape))
        seconds = least(
            lambda weights=weights: count_photons(MODEL, image, tile, shape, spread=weights)
        )
        print(f"4096², {name}, radius 20: {seconds - without:.2f} s more")


if __name__ == "__main__":
    main()
