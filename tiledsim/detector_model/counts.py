"""The noise stage: photons of a tile to its counts.

It takes photons as they are stored, in float32: counting while rendering and counting stored
images afterwards give the same counts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.deviates import FLICKER, normal
from tiledsim.detector_model.model import GAP, GOOD, CountModel, reach
from tiledsim.detector_model.rows import detect_rows, digitise_rows
from tiledsim.detector_model.spreading import light_bits, side_of_block, spread_light
from tiledsim.tile import Tile

BAND_ROWS = 128
"""Rows that are worked on at once; memory beside the tile's own is proportional to it."""


@dataclass(frozen=True)
class Counted:
    """Counts of a tile."""

    pixels: NDArray[Any]
    """[rows, cols] of the model's type."""
    overloads: int
    """Pixels that were cut to the largest value."""
    gaps: NDArray[np.bool_] | None
    """Which pixels [rows, cols] hold no counts; None where all do."""


def flicker_factor(model: CountModel, shot: int) -> float:
    """Return the factor of a shot's intensity, 1 + flicker·Gauss, at least 0."""
    return max(1.0 + model.flicker * float(normal(0, FLICKER, model.seed, shot)), 0.0)


def count_photons(
    model: CountModel, photons: NDArray[np.float32], tile: Tile, shape: tuple[int, int, int, int],
    *, state: NDArray[np.uint8] | None = None, spread: NDArray[np.float64] | None = None,
) -> Counted:  # fmt: skip
    """Count the photons of a tile.

    Parameters
    ----------
    photons
        Expected photons, float32 [rows, cols] of the tile, or of what :func:`reach` returns for it
        and the radius of ``spread``.  NaN is a pixel that was not rendered.
    tile
        The pixels to return; its shot keys the deviates.
    shape
        (shots, panels, slow, fast) of the detector.
    state
        GOOD, GAP, DEAD or HOT of every pixel, [slow, fast] or [panels, slow, fast].
    spread
        The weights of the point spread, as :func:`whole_weights` returns them.

    Returns
    -------
    Counted
        Of the model's type.  The same for a pixel whatever the tile, the order or the machine.

    Raises
    ------
    FloatingPointError
        For photons that are infinite.
    """
    _, _, slow, fast = shape
    radius = 0 if spread is None else len(spread) // 2
    known = reach(tile, radius, slow, fast)
    if photons.shape != (known.rows, known.cols):
        raise ValueError(f"{photons.shape} photons for {known}: one for each pixel is needed")
    complete = bool(np.isfinite(photons).all())
    if not complete and np.isinf(photons).any():
        raise FloatingPointError("a pixel is not a finite number; is the fluence too large?")
    states = _states(state, None if complete else photons, tile, known)
    out = np.empty((tile.rows, tile.cols), dtype=model.dtype)
    flicker = flicker_factor(model, tile.shot)
    side = 0 if spread is None else side_of_block(radius, tile.rows, tile.cols)
    bits = 0 if model.poisson else light_bits(model.gain)
    band_rows = min(BAND_ROWS if spread is None else side - 2 * radius, tile.rows)
    band = _Band(model, photons, known, tile, radius, flicker, (slow, fast), band_rows)
    overloads = 0
    for start in range(0, tile.rows, band_rows):
        stop = min(start + band_rows, tile.rows)
        values = band.detected(start, stop)
        if spread is not None:
            values = spread_light(values, spread, side, bits)
        first = _pixel(tile.panel, tile.slow_start + start, tile.fast_start, slow, fast)
        overloads += digitise_rows(
            values, states[start:stop], first, fast, model.seed, tile.shot, model.gain, model.adc,
            model.readout, float(model.top), float(model.gap), float(model.dead),
        )  # fmt: skip
        out[start:stop] = values
    gaps = None if complete and state is None else states == GAP
    return Counted(out, overloads, gaps if gaps is not None and gaps.any() else None)


def _pixel(panel: int, row: int, col: int, slow: int, fast: int) -> int:
    """Number a pixel in the whole detector: what its deviates are counted by."""
    return (panel * slow + row) * fast + col


def _states(
    state: NDArray[np.uint8] | None, photons: NDArray[np.float32] | None, tile: Tile, known: Tile
) -> NDArray[np.uint8]:
    """Return the state of every pixel of a tile; what was not rendered, NaN, is a gap."""
    rows, cols = slice(tile.slow_start, tile.slow_stop), slice(tile.fast_start, tile.fast_stop)
    if state is None:
        states = np.full((tile.rows, tile.cols), GOOD, dtype=np.uint8)
    else:
        states = np.array((state if state.ndim == 2 else state[tile.panel])[rows, cols])
    if photons is None:
        return states
    down, across = tile.slow_start - known.slow_start, tile.fast_start - known.fast_start
    missing = np.isnan(photons[down : down + tile.rows, across : across + tile.cols])
    states[missing] = GAP
    return states


class _Band:
    """What is detected in a few rows of a tile and around them; rows are drawn once."""

    def __init__(
        self, model: CountModel, photons: NDArray[np.float32], known: Tile, tile: Tile, radius: int,
        flicker: float, panel: tuple[int, int], band_rows: int,
    ) -> None:  # fmt: skip
        self._model, self._photons, self._known, self._tile = model, photons, known, tile
        self._radius, self._flicker = radius, flicker
        self._slow, self._fast = panel
        self._light = np.zeros((band_rows + 2 * radius, tile.cols + 2 * radius))
        self._drawn = tile.slow_start - radius
        """The row of the panel from which on nothing is drawn yet."""

    def detected(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return rows ``start`` to ``stop`` of the tile with the radius around them."""
        top = self._tile.slow_start + start - self._radius
        end = self._tile.slow_start + stop + self._radius
        kept = self._drawn - top
        if kept:
            self._light[:kept] = self._light[-kept:].copy()
        self._draw(self._drawn, end, kept)
        self._drawn = end
        return self._light[: end - top]

    def _draw(self, start: int, stop: int, at: int) -> None:
        """Draw rows ``start`` to ``stop`` of the panel into the buffer, from row ``at`` on."""
        known, radius = self._known, self._radius
        left = known.fast_start - (self._tile.fast_start - radius)
        inside = slice(max(start, known.slow_start), min(stop, known.slow_stop))
        light = self._light[at : at + stop - start]
        light[...] = 0.0
        if inside.start < inside.stop:
            part = np.empty((inside.stop - inside.start, known.cols))
            self._detect(inside, part)
            light[inside.start - start : inside.stop - start, left : left + known.cols] = part
        if self._model.reflected and radius:
            self._mirror(start, stop, light, left)

    def _detect(self, rows: slice, out: NDArray[np.float64]) -> None:
        model, known = self._model, self._known
        first = _pixel(known.panel, rows.start, known.fast_start, self._slow, self._fast)
        here = slice(rows.start - known.slow_start, rows.stop - known.slow_start)
        detect_rows(
            np.ascontiguousarray(self._photons[here]), first, self._fast, model.seed, known.shot,
            model.poisson, self._flicker, model.calibration, model.calibration_seed, out,
        )  # fmt: skip

    def _mirror(self, start: int, stop: int, light: NDArray[np.float64], left: int) -> None:
        """Fill what is outside the panel with the mirror image of what is inside."""
        width = self._known.cols
        for row in range(start, stop):
            image = -1 - row if row < 0 else 2 * self._slow - 1 - row if row >= self._slow else None
            if image is not None:
                part = np.empty((1, width))
                self._detect(slice(image, image + 1), part)
                light[row - start, left : left + width] = part[0]
        outside = left
        if outside:
            light[:, :outside] = light[:, outside : 2 * outside][:, ::-1]
        beyond = light.shape[1] - left - width
        if beyond:
            end = left + width
            light[:, end:] = light[:, end - beyond : end][:, ::-1]
