"""The serial noise stage of stored photons: a whole shot is drawn, and tiles are cut out of it.

A process that is asked for a tile draws the shot that it belongs to, and keeps the last one; so the
counts do not depend on tiles or on their order.
"""

import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.one_shot import alone
from tiledsim.detector_model.model import CountModel
from tiledsim.detector_model.serial.detector import (
    LARGEST,
    ROWS_AT_ONCE,
    NoisifyDetector,
    NoisifyDraws,
    nanobragg_rows,
)
from tiledsim.detector_model.serial.point_spread import SerialPsf, apply_serial_psf
from tiledsim.kernels.rendered import Pending, Rendered
from tiledsim.pixel_statistics import columns_inside, reduce_rows
from tiledsim.scene import Scene
from tiledsim.tile import Tile

Float32 = NDArray[np.float32]


class Stored(Protocol):
    """A store of photons."""

    def start(self, scene: Scene, tile: Tile, /) -> Pending:
        """Start reading the photons of a tile."""


class SerialTile:
    """A tile whose shot is drawn, if it is not there, when its result is asked for."""

    def __init__(self, stored: Stored, scene: Scene, tile: Tile) -> None:
        self._stored, self._scene, self._tile = stored, scene, tile

    def result(self) -> Rendered:
        """Draw the shot, or wait for another thread that draws it, and cut the tile out."""
        scene, tile = self._scene, self._tile
        started = time.perf_counter()
        whole = _last.get(self._stored, scene, tile.shot)
        rows, cols = slice(tile.slow_start, tile.slow_stop), slice(tile.fast_start, tile.fast_stop)
        pixels = whole[tile.panel, rows, cols]
        statistics = reduce_rows(pixels, *columns_inside(tile, scene.roi))
        return Rendered(pixels, statistics, time.perf_counter() - started)


@dataclass
class _LastShot:
    """The shot that was drawn last in this process."""

    lock: threading.Lock
    of: tuple[Any, str, int] | None = None
    counts: NDArray[Any] | None = None

    def get(self, stored: Stored, scene: Scene, shot: int) -> NDArray[Any]:
        """Return the counts of a shot [panel, slow, fast]."""
        with self.lock:
            wanted = (stored, scene.hash, shot)
            if self.of is None or self.of[0] is not stored or self.of[1:] != wanted[1:]:
                self.of = self.counts = None  # room for the next
                self.counts = draw_shot(stored, scene, shot)
                self.of = wanted
            assert self.counts is not None
            return self.counts


_last = _LastShot(threading.Lock())


def draw_shot(stored: Stored, scene: Scene, shot: int) -> NDArray[Any]:
    """Draw the counts of a shot [panel, slow, fast] of stored photons.

    Each panel is an image of its own: the programs draw it with the seed and, added to it, the
    number of images before it.  Where a campaign says which seed a shot has, it begins there.

    Raises FloatingPointError for photons that are not finite.
    """
    _, panels, slow, fast = scene.shape
    model = alone(scene, Tile(shot, 0, 0, slow, 0, fast))[0].noise
    assert model is not None
    photons = np.empty((panels, slow, fast), dtype=np.float32)
    for panel in range(panels):
        photons[panel] = stored.start(scene, Tile(shot, panel, 0, slow, 0, fast)).result().pixels
    if not np.isfinite(photons).all():
        raise FloatingPointError("a pixel is not a finite number; is the fluence too large?")
    seed = model.seed if "noise_seed" in scene.shot_names else model.seed + shot * panels
    counts = np.empty(photons.shape, dtype=model.dtype)
    if is_nanobraggs(model):
        _as_nanobragg(photons, scene.roi, model.adc, seed, counts)
    else:
        _as_noisify(photons, model, seed, counts)
    return counts


def is_nanobraggs(model: CountModel) -> bool:
    """Whether nanoBragg itself has all that is asked for: Poisson, an offset and 16 bits."""
    return (
        not (model.serial_psf or model.flicker or model.calibration or model.readout)
        and model.gain == 1.0
        and model.top == LARGEST[16]
    )


def _as_nanobragg(
    photons: Float32, roi: tuple[int, int, int, int], adc: float, seed: int, counts: NDArray[Any]
) -> None:
    for panel, image in enumerate(photons):
        row = 0
        for drawn in nanobragg_rows(image, roi, adc, seed + panel):
            counts[panel, row : row + len(drawn.pixels)] = drawn.pixels
            row += len(drawn.pixels)


def _as_noisify(photons: Float32, model: CountModel, seed: int, counts: NDArray[Any]) -> None:
    detector = NoisifyDetector(
        flicker=model.flicker, calibration=model.calibration, gain=model.gain, adc=model.adc,
        readout=model.readout, bits=16 if model.top == LARGEST[16] else 32,
    )  # fmt: skip
    for panel, image in enumerate(photons):
        draws = NoisifyDraws(detector, -(seed + panel), -model.calibration_seed)
        detected = draws.detect(image)
        if model.serial_psf:
            psf = SerialPsf(
                shape="gauss" if model.serial_psf == "gauss" else "fiber",
                fwhm_px=model.serial_fwhm_px,
                radius_px=model.serial_radius_px,
            )
            detected = apply_serial_psf(detected, psf).image
        for row in range(0, len(detected), ROWS_AT_ONCE):
            part = slice(row, row + ROWS_AT_ONCE)
            counts[panel, part] = draws.read_out(detected[part])[0]
