"""From a geometry file or a detector's name to the keys of an experiment.

An experiment that names one is written out in full before anything else looks at it, so that a
stored run does not depend on the file.  What a person gives beside it goes before what it says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.geometry_files.described import FileGeometry, FilePanel
from tiledsim.geometry_files.named import named_detector
from tiledsim.geometry_files.read import read_geometry_file
from tiledsim.geometry_files.sensor import FileSensor, with_sensor
from tiledsim.vectors import unit

Fields = dict[str, Any]
ROUNDING = 1e-12
"""By how much of it the sides of a square pixel may differ."""
BESIDE_A_FILE = ("geometry", "sensor", "roi", "mask_file", "masked_px", "curved", "point_pixel",
                 "distance_mm")  # fmt: skip


def expand(fields: Mapping[str, Any]) -> Fields:
    """Return the sections of an experiment with ``detector.geometry`` and ``.model`` written out.

    Raises ExperimentError for keys that a geometry file excludes, InputFileError for a bad file.
    """
    detector = dict(fields.get("detector") or {})
    if detector.get("model") is not None:
        if detector.get("geometry") is not None:
            raise ExperimentError("detector.model and detector.geometry are both given; give one")
        named, sensor = named_detector(detector)
        return _with_sensor({**fields, "detector": named}, sensor)
    if detector.get("geometry") is None:
        return dict(fields)
    others = [key for key in detector if key not in BESIDE_A_FILE]
    if others:
        raise ExperimentError(
            f"detector.{others[0]} is given beside detector.geometry, which places the panels; "
            "leave one out"
        )
    distance = detector.pop("distance_mm", None)
    found = read_geometry_file(Path(detector.pop("geometry")), distance)
    said = sections(found)
    given = {
        name: dict(fields.get(name) or {}) for name in ("beam", "rotation", "crystal", "shots")
    }
    if any(key in given["beam"] for key in ("wavelength_A", "energy_eV", "spectrum")):
        said["beam"].pop("wavelength_A", None)
    polarized = said["beam"].get("polarization") or given["beam"].get("polarization")
    if not polarized and not any(key[1:4] == "div" for key in given["beam"]):
        del said["beam"]["polarization_axis"]
    if found.spindle is None and not given["rotation"]:
        del said["rotation"]["axis"]
    if "range_deg" in given["rotation"] or "count" in given["shots"]:
        said["rotation"].pop("frames", None)
        if given["shots"] or "range_deg" in given["rotation"]:
            said["rotation"].pop("step_deg", None)
    own = ("cell_A_deg", "mosflm_matrix_file", "vectors_A")
    if any(key in given["crystal"] for key in own) or given["shots"]:
        said["shots"] = {}
    if any(key in given["crystal"] for key in own):
        said["crystal"] = {}
    merged: Fields = {**fields, "detector": said["detector"] | detector}
    for name, values in given.items():
        if said[name] or values:
            merged[name] = said[name] | values
    return _with_sensor(merged, found.sensor)


def _with_sensor(fields: Fields, sensor: FileSensor | None) -> Fields:
    detector = fields["detector"]
    asked = detector.get("sensor")
    if not isinstance(asked, Mapping):  # what is wrong with it is said where it is read
        return fields
    beam = fields.get("beam") or {}
    return {**fields, "detector": detector | {"sensor": with_sensor(asked, sensor, beam)}}


def sections(geometry: FileGeometry) -> dict[str, Fields]:
    """Return the sections of an experiment that says what a geometry does."""
    beam: Fields = {"direction": _vector(unit(geometry.beam))}
    if geometry.wavelength_A is not None:
        beam["wavelength_A"] = geometry.wavelength_A
    axis = geometry.polarization_axis
    across = np.array([1.0, 0.0, 0.0]) if axis is None else np.asarray(axis)
    beam["polarization_axis"] = _vector(unit(across))
    if geometry.polarization is not None:
        beam["polarization"] = geometry.polarization
    spindle = np.array([1.0, 0.0, 0.0]) if geometry.spindle is None else geometry.spindle
    rotation: Fields = {"axis": _vector(unit(spindle))}
    if geometry.start_deg:
        rotation["start_deg"] = geometry.start_deg
    if geometry.step_deg is not None:
        rotation |= {"step_deg": geometry.step_deg, "frames": geometry.frames or 1}
    crystal, shots = _crystals(geometry)
    return {"detector": _detector(geometry), "beam": beam, "rotation": rotation,
            "crystal": crystal, "shots": shots}  # fmt: skip


def _crystals(geometry: FileGeometry) -> tuple[Fields, Fields]:
    if geometry.crystals_A is None:
        return {}, {}
    vectors = [[_vector(row) for row in crystal] for crystal in geometry.crystals_A]
    crystal: Fields = {"vectors_A": vectors[0]}
    if len(vectors) == 1:
        return crystal, {}
    return crystal, {"count": len(vectors), "vectors_A": vectors}


def _detector(geometry: FileGeometry) -> Fields:
    sizes = {panel.size_px for panel in geometry.panels}
    largest = [max(size[axis] for size in sizes) for axis in (0, 1)]
    sides = [_sides(panel) for panel in geometry.panels]
    squares = [across for across, down in sides if across == down] or [sides[0][0]]
    pixel = max(squares, key=squares.count)
    panels = []
    for panel, (across, down) in zip(geometry.panels, sides, strict=True):
        fields: Fields = {
            "origin_mm": _vector(panel.origin_mm), "fast_axis": _vector(unit(panel.fast)),
            "slow_axis": _vector(unit(panel.slow)),
        }  # fmt: skip
        if len(sizes) > 1:
            fields["size_px"] = list(panel.size_px)
        if across != down:
            fields["pixel_mm"] = [across, down]
        elif across != pixel:
            fields["pixel_mm"] = across
        if panel.masked_px:
            fields["masked_px"] = [list(rectangle) for rectangle in panel.masked_px]
        panels.append(fields)
    detector: Fields = {"pixel_mm": pixel, "size_px": largest, "panels": panels}
    if geometry.mask_file is not None:
        detector["mask_file"] = geometry.mask_file
    return detector


def _sides(panel: FilePanel) -> tuple[float, float]:
    """Return the sides of a pixel; equal ones where they differ by rounding alone."""
    across, down = panel.pixel_mm
    return (across, across) if abs(across - down) <= ROUNDING * across else (across, down)


def _vector(values: Any) -> list[float]:
    return [float(v) + 0.0 for v in values]
