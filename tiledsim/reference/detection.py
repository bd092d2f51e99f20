"""What an image has besides the spots of a pixel: amorphous layers, and the steps of the noise.

The steps are those that a run takes (docs/background.md, docs/noise.md), of one pixel.  Layers are
evaluated where the pixel is, and the point spread is a plain sum; the last lines are the image's.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.one_shot import alone
from tiledsim.detector_model.amorphous import at_points, panel_of
from tiledsim.detector_model.counts import flicker_factor
from tiledsim.detector_model.deviates import CALIBRATION, READOUT, normal
from tiledsim.detector_model.model import CountModel, reach
from tiledsim.detector_model.rows import detect_rows
from tiledsim.detector_model.stage import Starts, start_tile
from tiledsim.reference.entries import Entry
from tiledsim.scene import Scene
from tiledsim.tile import Tile

Array = NDArray[np.float64]
_STATES = ("good", "gap", "dead", "hot")


def added_entries(renderer: Starts, scene: Scene, tile: Tile) -> list[Entry]:
    """Return the lines of the amorphous layers and of the noise of a pixel.

    Parameters
    ----------
    scene, tile
        Of the whole run, and a tile of one pixel of it.
    """
    photons = replace(scene, noise=None, spread=None)
    entries = []
    if scene.amorphous_photons is not None:
        entries += _layers(*alone(scene, tile))
        value = float(start_tile(renderer, photons, tile).result().pixels[0, 0])
        entries.append(Entry("image_I_pixel", value, "photons", "spots and layers, in float32"))
    if scene.noise is not None:
        stored = int(start_tile(renderer, scene, tile).result().pixels[0, 0])
        around = reach(tile, scene.halo, *scene.shape[2:])
        expected = start_tile(renderer, photons, around).result().pixels
        entries += _noise(scene, tile, around, expected)
        entries.append(Entry("image_counts", stored, "ADU", "rounded, within limits, as stored"))
    return entries


def _layers(scene: Scene, tile: Tile) -> list[Entry]:
    panel = panel_of(scene, tile.panel)
    assert panel is not None
    slow, fast = np.array([tile.slow_start + 0.5]), np.array([tile.fast_start + 0.5])
    values = []
    for number in range(len(panel.photons)):
        one = np.where(np.arange(len(panel.photons)) == number, panel.photons, 0.0)
        values.append(float(at_points(panel._replace(photons=one), slow, fast)[0, 0]))
    return [
        *(
            Entry(f"background_layer_{number}", value, "photons", f"amorphous layer {number}")
            for number, value in enumerate(values)
        ),
        Entry("background_I_pixel", sum(values), "photons", "all layers"),
    ]


def _noise(scene: Scene, tile: Tile, around: Tile, photons: NDArray[np.float32]) -> list[Entry]:
    """The steps from the photons expected in a pixel, and around it, to its value before limits."""
    model = alone(scene, tile)[0].noise
    assert model is not None
    _, _, slow, fast = scene.shape
    number = (tile.panel * slow + tile.slow_start) * fast + tile.fast_start
    flicker, sensitivity, readout = flicker_factor(model, tile.shot), 1.0, 0.0
    if model.calibration > 0.0:
        drawn = float(normal(number, CALIBRATION, model.calibration_seed, 0))
        sensitivity = max(1.0 + model.calibration * drawn, 0.0)
    if model.readout > 0.0:
        readout = model.readout * float(normal(number, READOUT, model.seed, tile.shot))
    at = tile.slow_start - around.slow_start, tile.fast_start - around.fast_start
    expected = float(photons[at])
    detected = np.empty(photons.shape)
    detect_rows(
        np.ascontiguousarray(photons),
        (around.panel * slow + around.slow_start) * fast + around.fast_start, fast, model.seed,
        tile.shot, model.poisson, flicker, model.calibration, model.calibration_seed, detected,
    )  # fmt: skip
    light = float(detected[at])
    entries = [
        Entry("noise_expected", expected, "photons", "what is stored without noise"),
        Entry("noise_flicker", flicker, "1", "factor of the shot"),
        Entry("noise_calibration", sensitivity, "1", "factor of the pixel"),
        Entry("noise_mean", expected * flicker * sensitivity, "photons", "what is counted of"),
        Entry("noise_detected", light, "photons", "counted; without poisson the mean"),
    ]
    if scene.spread is not None:
        light = _spread(model, detected, scene.spread, at)
        entries.append(Entry("noise_spread", light, "photons", "after the point spread"))
    state = 0
    if scene.pixel_state is not None:
        states = scene.pixel_state
        plane = states if states.ndim == 2 else states[tile.panel]
        state = int(plane[tile.slow_start, tile.fast_start])
    adu = light * model.gain + model.adc + readout
    return [
        *entries,
        Entry("noise_readout", readout, "ADU", "added by the readout"),
        Entry("noise_adu", adu, "ADU", "photons x gain + offset + readout"),
        Entry("noise_state", state, "1", f"{_STATES[state]}: 0 good, 1 gap, 2 dead, 3 hot"),
    ]


def _spread(model: CountModel, detected: Array, weights: Array, at: tuple[int, int]) -> float:
    """Sum what reaches a pixel, of those around it that there are."""
    radius = len(weights) // 2
    missing = [
        (radius - where, radius - (count - 1 - where))
        for where, count in zip(at, detected.shape, strict=True)
    ]
    light = np.pad(detected, missing, mode="symmetric" if model.reflected else "constant")
    return float((light * weights[::-1, ::-1]).sum())
