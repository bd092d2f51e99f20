"""The master file of an NXmx data set: everything but pixels, and links to those.

What it must hold, and for whom: https://manual.nexusformat.org/classes/applications/NXmx.html, and
what dxtbx (``nexus/__init__.py``), XDS' plugins neggia and durin, and Albula look for besides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.image_files.instrument import FlatPanel, Instrument, SensorLayer
from tiledsim.image_files.nxmx.data import Plane
from tiledsim.image_files.nxmx.values import (
    LIBVER,
    ascii_text,
    make_group,
    put_axis,
    put_number,
    put_text,
)
from tiledsim.vectors import Array

TO_MCSTAS = np.diag([-1.0, 1.0, -1.0])
"""From the imgCIF frame to that of NeXus; its own inverse."""
NO_SENSOR = SensorLayer("Si", 1e-6)
"""Stands where the simulation has no sensor: dxtbx wants one, and 1 nm moves nothing."""
DETECTOR = "/entry/instrument/detector"
MASK_ROWS = 1024

MaskRows = Callable[[int, int, int], NDArray[np.uint32] | None]
"""The mask [rows, cols] of a panel and a range of rows; None where all pixels are good."""


@dataclass(frozen=True)
class Limits:
    """What values of pixels mean."""

    saturation: float
    """The largest that is a measurement."""


def write_master(
    path: Path, data_files: list[tuple[str, int]], instrument: Instrument, plane: Plane,
    limits: Limits, mask_rows: MaskRows,
) -> None:  # fmt: skip
    """Write the master file.

    Parameters
    ----------
    path : Path
        Of the master; the data files stand beside it.
    data_files : list of (name, frames)
        In their order.
    instrument : Instrument
        What the frames show, one shot a frame.
    plane : Plane
        How a frame is stored.
    limits : Limits
        What values mean.
    mask_rows : callable
        The mask of pixels that hold no measurement.
    """
    import h5py

    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with h5py.File(path, "w", libver=LIBVER) as file:
        root = {"NX_class": "NXroot", "default": "entry", "file_name": path.name, "file_time": now}
        for key, text in root.items():
            file.attrs[key] = ascii_text(text)
        entry = make_group(file, "entry", "NXentry")
        entry.attrs["default"] = ascii_text("data")
        put_text(entry, "definition", "NXmx")
        put_text(entry, "start_time", now)
        put_text(entry, "end_time_estimated", now)
        if instrument.title:
            put_text(entry, "title", instrument.title)
        _link_data(entry, data_files, plane)
        sample = make_group(entry, "sample", "NXsample")
        _goniometer(sample, instrument)
        group = make_group(entry, "instrument", "NXinstrument")
        _beam(group, instrument)
        sample["beam"] = h5py.SoftLink("/entry/instrument/beam")
        source = make_group(entry, "source", "NXsource")
        _named(source, "simulation", "sim")
        frames = sum(count for _, count in data_files)
        detector = make_group(group, "detector", "NXdetector")
        _detector(detector, instrument, plane, limits)
        mask = _mask(detector, plane, mask_rows)
        _specific(detector, instrument, plane, limits, frames, mask)
        for number, panel in enumerate(instrument.panels):
            _module(detector, panel, number, plane)


def _named(group: Any, name: str, short: str) -> None:
    put_text(group, "name", name)
    group["name"].attrs["short_name"] = ascii_text(short)


def _link_data(entry: Any, data_files: list[tuple[str, int]], plane: Plane) -> None:
    """Link the data files one by one for neggia and Albula, and as one array for the others."""
    import h5py

    data = make_group(entry, "data", "NXdata")
    data.attrs["signal"] = ascii_text("data")
    frames = sum(count for _, count in data_files)
    layout = h5py.VirtualLayout(shape=(frames, *plane.shape), dtype=plane.dtype)
    at = 0
    for number, (name, count) in enumerate(data_files, start=1):
        data[f"data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        layout[at : at + count] = h5py.VirtualSource(
            name, "/entry/data/data", shape=(count, *plane.shape)
        )
        at += count
    data.create_virtual_dataset("data", layout, fillvalue=0)


def _goniometer(sample: Any, instrument: Instrument) -> None:
    put_text(sample, "name", instrument.title or "simulated")
    axes = make_group(sample, "transformations", "NXtransformations")
    if not instrument.is_scan:
        put_text(sample, "depends_on", ".")
        return
    start, width = instrument.start_deg, instrument.width_deg
    put_axis(
        axes, "omega", start, kind="rotation", units="deg", vector=TO_MCSTAS @ instrument.spindle,
        depends_on=".",
    )  # fmt: skip
    put_number(axes, "omega_end", start + width, "deg")
    put_number(axes, "omega_increment_set", np.full(len(start), width), "deg")
    put_text(sample, "depends_on", "/entry/sample/transformations/omega")


def _beam(group: Any, instrument: Instrument) -> None:
    _named(group, "tiledsim", "tiledsim")
    beam = make_group(group, "beam", "NXbeam")
    own = [instrument.each[shot] for shot in sorted(instrument.each)]
    wavelengths_A = [one.wavelength_A for one in own] or instrument.wavelength_A
    fluences = [one.fluence_photons_per_m2 for one in own] or instrument.fluence_photons_per_m2
    put_number(beam, "incident_wavelength", wavelengths_A, "angstrom")
    stokes = [_stokes(one) for one in own] or _stokes(instrument)
    put_number(beam, "incident_polarization_stokes", stokes)
    put_number(beam, "incident_fluence", fluences, "1/m^2")


def _stokes(instrument: Instrument) -> list[float]:
    """Stokes parameters I, Q, U, V; Q > 0 for an electric field along x."""
    axis = TO_MCSTAS @ instrument.polarization_axis
    twice = 2.0 * float(np.arctan2(axis[1], axis[0]))
    p = instrument.polarization
    return [1.0, p * float(np.cos(twice)), p * float(np.sin(twice)), 0.0]


def _detector(detector: Any, instrument: Instrument, plane: Plane, limits: Limits) -> None:
    first = instrument.panels[0]
    sensor = instrument.sensor or NO_SENSOR
    put_text(detector, "description", "tiledsim")
    put_text(detector, "type", "Pixel")
    put_number(detector, "distance", first.distance_mm / 1000, "m")
    centre = first.beam_centre_px
    if centre is not None:
        put_number(detector, "beam_center_x", centre[0], "pixel")
        put_number(detector, "beam_center_y", centre[1], "pixel")
    for name, side in zip(("x_pixel_size", "y_pixel_size"), first.pixel_mm, strict=True):
        put_number(detector, name, side / 1000, "m")
    put_number(detector, "sensor_thickness", sensor.thickness_mm / 1000, "m")
    put_text(detector, "sensor_material", sensor.material)
    for name in ("count_time", "frame_time"):
        put_number(detector, name, instrument.exposure_s, "s")
    integer = np.dtype(plane.dtype).kind != "f"
    put_number(detector, "saturation_value", limits.saturation, dtype="i8" if integer else "f8")
    put_number(detector, "underload_value", 0, dtype="i4")
    if integer:
        bits = 8 * np.dtype(plane.dtype).itemsize
        put_number(detector, "bit_depth_readout", bits, dtype="i4")
    for name in ("flatfield_applied", "countrate_correction_applied", "pixel_mask_applied"):
        put_number(detector, name, 0, dtype="i1")
    axes = make_group(detector, "transformations", "NXtransformations")
    put_axis(axes, "det_z", 0.0, kind="translation", units="mm", vector=[0, 0, 1], depends_on=".")
    put_text(detector, "depends_on", f"{DETECTOR}/transformations/det_z")


def _mask(detector: Any, plane: Plane, mask_rows: MaskRows) -> Any:
    """Write the mask, not chunked (neggia); bit 0 marks gaps, bit 1 dead pixels."""
    mask = detector.create_dataset("pixel_mask", shape=plane.shape, dtype="u4", chunks=None)
    for panel in range(plane.panels):
        for start in range(0, plane.rows, MASK_ROWS):
            stop = min(start + MASK_ROWS, plane.rows)
            flags = mask_rows(panel, start, stop)
            top = panel * plane.rows + start
            mask[top : top + stop - start] = 0 if flags is None else flags
    return mask


def _specific(
    detector: Any, instrument: Instrument, plane: Plane, limits: Limits, frames: int, mask: Any
) -> None:
    """Write what neggia and Albula look for."""
    first = instrument.panels[0]
    group = make_group(detector, "detectorSpecific", "NXcollection")
    put_number(group, "nimages", frames, dtype="i4")
    put_number(group, "ntrigger", 1, dtype="i4")
    put_number(group, "x_pixels_in_detector", plane.shape[1], dtype="i4")
    put_number(group, "y_pixels_in_detector", plane.shape[0], dtype="i4")
    cutoff = min(limits.saturation, 2.0**62)
    put_number(group, "countrate_correction_count_cutoff", cutoff, dtype="i8")
    for name, side in zip(("x_pixel_size", "y_pixel_size"), first.pixel_mm, strict=True):
        put_number(group, name, side / 1000, "m")
    group["pixel_mask"] = mask


def _module(detector: Any, panel: FlatPanel, number: int, plane: Plane) -> None:
    name = "module" if plane.panels == 1 else f"module_{number:03d}"
    module = make_group(detector, name, "NXdetector_module")
    put_number(module, "data_origin", [number * plane.rows, 0], dtype="i4")
    put_number(module, "data_size", [plane.rows, plane.cols], dtype="i4")
    put_number(module, "data_stride", [1, 1], dtype="i4")
    put_axis(
        module, "module_offset", 0.0, kind="translation", units="mm", vector=[1, 0, 0],
        offset_mm=TO_MCSTAS @ panel.origin_mm, depends_on=f"{DETECTOR}/transformations/det_z",
    )  # fmt: skip
    axes: dict[str, Array] = {"fast": panel.fast, "slow": panel.slow}
    for (axis, vector), side in zip(axes.items(), panel.pixel_mm, strict=True):
        put_axis(
            module, f"{axis}_pixel_direction", side, kind="translation", units="mm",
            vector=TO_MCSTAS @ vector, offset_mm=np.zeros(3),
            depends_on=f"{DETECTOR}/{name}/module_offset",
        )  # fmt: skip
