"""From the noise section of an experiment to the numbers and tables of the noise stage."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.model import DEAD, GAP, HOT, CountModel
from tiledsim.detector_model.modules import gaps_of
from tiledsim.detector_model.point_spread import (
    check_radius,
    fiber_kernel,
    gaussian_kernel,
    radius_of_tail,
    read_kernel,
)
from tiledsim.detector_model.serial.detector import LARGEST
from tiledsim.detector_model.spreading import whole_weights
from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Detector, Noise, PointSpread
from tiledsim.quirks import Mode
from tiledsim.scene.detector.pixel_files import read_pixels
from tiledsim.units import MM, UM
from tiledsim.vectors import Array

DEFAULT_TAILS = {"gaussian": 1e-6, "fiber": 0.01}


class NoiseParts(NamedTuple):
    """What the noise stage needs."""

    model: CountModel | None
    state: NDArray[np.uint8] | None
    """State of every pixel [slow, fast] or [panels, slow, fast]; None where all are good."""
    spread: Array | None
    """The weights of the point spread [2r+1, 2r+1], of sum 1."""


def build_noise(noise: Noise | None, detector: Detector) -> NoiseParts:
    """Resolve the noise section.

    Raises ExperimentError or InputFileError for what contradicts itself or the detector.
    """
    if noise is None:
        return NoiseParts(None, None, None)
    if noise.mode == "c-parity":
        return NoiseParts(serial_model(noise, detector), None, None)
    state = pixel_states(noise, detector)
    dtype = _dtype(noise)
    limits = np.iinfo(dtype)
    has_gaps = state is not None and bool((state == GAP).any())
    gap = noise.gap_value
    if gap is None:
        gap = -1 if limits.min < 0 else int(limits.max)
    for name, value in (("gap_value", gap), ("dead_value", noise.dead_value)):
        if not limits.min <= value <= limits.max:
            raise ExperimentError(
                f"[noise] {name} = {value} is outside {dtype}, {limits.min} to {limits.max}"
            )
    top = min(2**noise.bits - 1, int(limits.max))
    if noise.saturation_adu is not None:
        if noise.saturation_adu > top:
            raise ExperimentError(
                f"[noise] saturation_adu = {noise.saturation_adu} is more than {noise.bits} bits "
                f"of {dtype} hold, {top}"
            )
        top = noise.saturation_adu
    elif has_gaps and top == gap:
        top -= 1  # or the brightest pixels would look like gaps
    return NoiseParts(
        CountModel(
            seed=noise.seed,
            poisson=noise.poisson,
            flicker=noise.flicker_percent / 100.0,
            calibration=noise.calibration_percent / 100.0,
            calibration_seed=noise.calibration_seed,
            gain=noise.gain_adu_per_photon,
            adc=noise.adc_adu,
            readout=noise.readout_adu,
            top=top,
            dtype=dtype,
            gap=gap,
            dead=noise.dead_value,
            reflected=noise.point_spread.edges == "reflected",
        ),
        state,
        build_spread(noise.point_spread, detector),
    )


def refuse_serial_noise(noise: Noise | None, mode: Mode) -> None:
    """Raise ExperimentError for noise that cannot be drawn tile by tile.

    ``mode`` is that of the experiment, which the noise has too where it has none of its own.
    """
    if noise is not None and (noise.mode or mode) == "c-parity":
        raise ExperimentError(
            "[noise] in the mode c-parity is drawn by nanoBragg's serial generator, after all "
            "tiles: render photons without it, then let `noise` count their store; or give "
            "[noise] mode = 'spec'"
        )


def serial_model(noise: Noise, detector: Detector) -> CountModel:
    """Resolve a noise section as noisify's flags.  Raises ExperimentError for what it lacks."""
    plain, spread = Noise(), noise.point_spread
    lacking = [
        name
        for name in (
            "poisson", "saturation_adu", "modules", "gap_file", "dead_file", "hot_file",
            "gap_value", "dead_value",
        )
        if getattr(noise, name) != getattr(plain, name)
    ] + [
        f"point_spread.{name}"
        for name in ("tail", "kernel_file", "edges")
        if getattr(spread, name) != getattr(plain.point_spread, name)
    ]  # fmt: skip
    if lacking:
        raise ExperimentError(
            f"[noise] {lacking[0]}: noisify, which the mode c-parity follows, has none; leave it "
            "out, or give mode = 'spec'"
        )
    dtype = {16: "uint16", 32: "uint32"}.get(noise.bits, "")
    if not dtype or noise.image not in ("auto", dtype):
        raise ExperimentError(
            f"[noise] bits = {noise.bits}, image = {noise.image!r}: noisify, which the mode "
            "c-parity follows, has uint16 of 16 bits and uint32 of 32"
        )
    return CountModel(
        seed=noise.seed,
        poisson=True,
        flicker=noise.flicker_percent / 100.0,
        calibration=noise.calibration_percent / 100.0,
        calibration_seed=noise.calibration_seed,
        gain=noise.gain_adu_per_photon,
        adc=noise.adc_adu,
        readout=noise.readout_adu,
        top=int(LARGEST[noise.bits]),
        dtype=dtype,
        gap=int(np.iinfo(dtype).max),
        dead=0,
        reflected=False,
        serial=True,
        serial_psf={None: "", "gaussian": "gauss", "fiber": "fiber"}[spread.kind],
        serial_fwhm_px=float(np.float32(spread.fwhm_um / UM)) / (detector.pixel_mm / MM),
        serial_radius_px=spread.radius_px or 0,
    )


def _dtype(noise: Noise) -> str:
    if noise.image != "auto":
        if noise.image == "uint16" and noise.bits > 16 and noise.saturation_adu is None:
            raise ExperimentError(
                f"[noise] image = 'uint16' holds 16 bits, not bits = {noise.bits}; give uint32 or "
                "int32"
            )
        return noise.image
    return "uint16" if noise.bits <= 16 else "uint32"


def pixel_states(noise: Noise, detector: Detector) -> NDArray[np.uint8] | None:
    """Return the state of every pixel, None where all are good; a gap wins over what is in it."""
    fast, slow = detector.size_px
    panels = max(1, len(detector.panels))
    marked: list[tuple[int, NDArray[np.bool_]]] = []
    files: tuple[tuple[int, Path | None, str], ...] = (
        (HOT, noise.hot_file, "hot_file"),
        (DEAD, noise.dead_file, "dead_file"),
        (GAP, noise.gap_file, "gap_file"),
    )
    for kind, path, name in files:
        if path is not None:
            values = read_pixels(path, f"[noise] {name}", panels, slow, fast)
            marked.append((kind, values))
    if noise.modules is not None:
        marked.append((GAP, gaps_of(noise.modules, slow, fast)))
    if not marked:
        return None
    several = any(pixels.ndim == 3 for _, pixels in marked)
    state = np.zeros((panels, slow, fast) if several else (slow, fast), dtype=np.uint8)
    for kind, pixels in marked:
        state[np.broadcast_to(pixels, state.shape)] = kind
    return state


def build_spread(spread: PointSpread, detector: Detector) -> Array | None:
    """Return the weights of the point spread, None where there is none."""
    fast, slow = detector.size_px
    if spread.kernel_file is not None:
        kernel = read_kernel(spread.kernel_file)
        radius = len(kernel) // 2
        if spread.radius_px is not None and spread.radius_px < radius:
            middle = slice(radius - spread.radius_px, radius + spread.radius_px + 1)
            kernel = kernel[middle, middle]
            if not kernel.sum() > 0.0:
                raise InputFileError(
                    f"{spread.kernel_file}: nothing is left within radius_px = {spread.radius_px}"
                )
        check_radius(len(kernel) // 2, slow, fast)
        return whole_weights(kernel)
    if spread.kind is None:
        return None
    if len({side for sides in detector.pixel_sides_mm for side in sides}) > 1:
        raise ExperimentError(
            f"noise.point_spread of {spread.fwhm_um:g} µm needs square pixels of one size; the "
            "panels have others"
        )
    fwhm = spread.fwhm_um / UM / (detector.coarsest_pixel_mm / MM)
    radius = spread.radius_px or radius_of_tail(
        spread.kind, fwhm, spread.tail or DEFAULT_TAILS[spread.kind]
    )
    check_radius(radius, slow, fast)
    made = gaussian_kernel if spread.kind == "gaussian" else fiber_kernel
    return whole_weights(made(fwhm, radius))
